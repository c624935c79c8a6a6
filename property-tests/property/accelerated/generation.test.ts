/** Sampling follows temperature, top-k and top-p. Beam search finds the result of an exhaustive search. Texts end at stop tokens and limits. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  searchStep,
  initialSearch,
  type Beam,
  generate,
  type GenerationEvent,
  type GenerationSettings,
} from '../../../accelerated/generation/generate.js'
import {
  samplingDistribution,
  sample,
  largest,
  logProbabilities,
  applyRepetitionPenalty,
  type Sampling,
} from '../../../accelerated/generation/sampling.js'
import type { DecodedRows, Decoder } from '../../../accelerated/generation/decoder.js'
import { resolveGeneration } from '../../../accelerated/generation/generationSettings.js'
import { decoderModel } from '../../../accelerated/models/llama/llama.js'
import { uniforms } from '../../../accelerated/parameters/random.js'
import { decoderConfig, plainAssembly } from '../../support/plainDecoder.js'
import { SEED } from '../../support/seed.js'

const logits = fc.array(fc.double({ min: -8, max: 8, noNaN: true }), { minLength: 1, maxLength: 40 }).map((all) => Float64Array.from(all))
const plain: Sampling = { temperature: 1, topK: null, topP: 1 }

/** As a textbook has it: probabilities by token. */
const softmax = (all: ArrayLike<number>, temperature: number): readonly number[] => {
  const powers = Array.from(all, (logit) => Math.exp(logit / temperature))
  const total = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / total)
}

describe(`the sampling distribution (seed ${SEED})`, () => {
  it('is the softmax of logits over temperature', () =>
    fc.assert(
      fc.property(logits, fc.double({ min: 0.3, max: 3, noNaN: true }), (all, temperature) => {
        const actual = samplingDistribution(all, { ...plain, temperature })
        const expected = softmax(all, temperature)
        expect(actual.map(({ token }) => token).sort((a, b) => a - b)).toEqual(expected.map((_, i) => i))
        for (const { token, score } of actual) expect(score).toBeCloseTo(expected[token] ?? NaN, 12)
      }),
      { seed: SEED },
    ))

  it('has the most likely tokens alone at the smallest temperature', () =>
    expect(samplingDistribution(Float64Array.of(-1, 3, -Infinity, 3, 2), { ...plain, temperature: Number.MIN_VALUE })).toEqual([
      { token: 1, score: 0.5 },
      { token: 3, score: 0.5 },
    ]))

  it('has with top-k the k most likely tokens and ties of the last, in their old proportions', () =>
    fc.assert(
      fc.property(logits, fc.integer({ min: 1, max: 45 }), (all, topK) => {
        const actual = samplingDistribution(all, { ...plain, topK })
        const least = [...all].sort((a, b) => b - a)[Math.min(topK, all.length) - 1] ?? NaN
        expect(new Set(actual.map(({ token }) => token))).toEqual(new Set([...all.keys()].filter((i) => (all[i] ?? NaN) >= least)))
        expect(actual.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 12)
        for (const { token, score } of actual)
          expect(score / (actual[0]?.score ?? NaN)).toBeCloseTo(Math.exp((all[token] ?? NaN) - (all[actual[0]?.token ?? 0] ?? NaN)), 9)
      }),
      { seed: SEED },
    ))

  it('has with top-p the fewest most likely tokens that together have p', () =>
    fc.assert(
      fc.property(logits, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (all, topP) => {
        const actual = samplingDistribution(all, { ...plain, topP })
        const sorted = [...softmax(all, 1)].sort((a, b) => b - a)
        const together = (count: number): number => sorted.slice(0, count).reduce((a, b) => a + b, 0)
        expect(together(actual.length)).toBeGreaterThan(topP - 1e-9)
        expect(together(actual.length - 1)).toBeLessThan(topP + 1e-9)
        const [most = 1] = actual.map(({ score }) => score)
        expect(most).toBeCloseTo((sorted[0] ?? NaN) / together(actual.length), 9)
      }),
      { seed: SEED },
    ))

  it('draws the token of the whole distribution from the part of it that a draw needs', () =>
    fc.assert(
      fc.property(logits, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.constantFrom(1, 3), (all, u, spread) => {
        const wide = all.map((logit) => spread * logit) // probabilities from 1 to e^-48
        expect(sample(samplingDistribution(wide, plain, u), u)).toBe(sample(samplingDistribution(wide, plain), u))
        expect(samplingDistribution(wide, plain).length).toBe(wide.length)
      }),
      { seed: SEED, numRuns: 1000 },
    ))

  it('ends top-p with the token at which the sum is exactly p', () => {
    const halves = Float64Array.of(-Math.LN2, 0, -Math.LN2) // a quarter, a half, a quarter, without rounding
    const kept = (topP: number) => samplingDistribution(halves, { ...plain, topP }).map(({ token, score }) => [token, score])
    expect(kept(0.5)).toEqual([[1, 1]])
    expect(kept(0.75).map(([token]) => token)).toEqual([1, 0])
    expect(kept(0.76).map(([token]) => token)).toEqual([1, 0, 2])
  })

  it('matches the frequencies of samples: χ² of 20,000 draws is below its 0.999 quantile', () => {
    const actual = samplingDistribution(Float64Array.of(1, 0.5, -1, 2, 0, 1.5, -3), { temperature: 0.8, topK: 5, topP: 0.95 })
    const count = 20_000
    const counts = new Map<number, number>()
    for (let i = 0; i < count; i++) {
      const token = sample(actual, uniforms(SEED, 'generation', i, 1)[0] ?? NaN)
      counts.set(token, (counts.get(token) ?? 0) + 1)
    }
    const expected = softmax([1, 0.5, 2, 0, 1.5], 0.8) // top-k leaves these; the least likely of them is outside top-p
    const kept = [0, 1, 3, 5].map((token, i) => ({ token, share: [expected[0], expected[1], expected[2], expected[4]][i] ?? NaN }))
    const total = kept.reduce((sum, { share }) => sum + share, 0)
    const chiSquare = kept.reduce((sum, { token, share }) => {
      const expected = (count * share) / total
      return sum + ((counts.get(token) ?? 0) - expected) ** 2 / expected
    }, 0)
    expect([...counts.keys()].sort()).toEqual([0, 1, 3, 5])
    expect(chiSquare).toBeLessThan(16.27) // 3 degrees of freedom
  })

  it('maps u to the token whose interval of (0, 1) contains it', () => {
    const probable = [0.5, 0.3, 0.2].map((score, token) => ({ token, score }))
    expect([0.001, 0.499, 0.501, 0.799, 0.801, 0.999].map((u) => sample(probable, u))).toEqual([0, 0, 1, 1, 2, 2])
  })
})

describe('the scores of tokens', () => {
  it('have the same largest ones as a stable sort', () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 30 }), fc.integer({ min: 1, max: 12 }), (scores, count) => {
        const sorted = scores.map((score, token) => ({ token, score })).sort((a, b) => b.score - a.score || a.token - b.token)
        expect(largest(scores, count)).toEqual(sorted.slice(0, count))
      }),
      { seed: SEED },
    ))

  it('scores of repeated tokens are divided if positive and multiplied if negative, once for each token', () =>
    expect([...applyRepetitionPenalty(Float64Array.of(2, -2, 3, -3), [0, 1, 0, 0], 2)]).toEqual([1, -4, 3, -3]))

  it('become probabilities that add up to 1', () => {
    const actual = logProbabilities(Float32Array.of(1000, 1001, 999))
    expect(actual.reduce((sum, x) => sum + Math.exp(x), 0)).toBeCloseTo(1, 12)
    expect((actual[1] ?? NaN) - (actual[0] ?? NaN)).toBeCloseTo(1, 12)
  })
})

describe(`beam search (seed ${SEED})`, () => {
  const [words, end] = [4, 3]
  /** log p(word | text), made up of the text. */
  const following = (seed: number, tokens: readonly number[]): Float64Array => {
    const place = tokens.reduce((sum, token) => sum * (words + 1) + token + 1, 0)
    return logProbabilities(uniforms(seed, 'generation', place, words).map((u) => 4 * u))
  }

  it('finds the best text of all if every text fits into its beams', () =>
    fc.assert(
      fc.property(fc.nat(100_000), fc.constantFrom(-1, 0, 0.7, 2), (seed, lengthPenalty) => {
        const maxNewTokens = 3
        const all = (tokens: readonly number[], score: number): readonly Beam[] =>
          tokens.at(-1) === end || tokens.length === maxNewTokens
            ? [{ tokens, score: score / tokens.length ** lengthPenalty }]
            : Array.from(following(seed, tokens)).flatMap((logProbability, token) => all([...tokens, token], score + logProbability))
        const best = [...all([], 0)].sort((a, b) => b.score - a.score)[0]
        let search = initialSearch
        while (!search.done)
          search = searchStep(
            search,
            search.running.map(({ tokens }) => following(seed, tokens)),
            { numBeams: words ** maxNewTokens, lengthPenalty, maxNewTokens, ends: 1, isEnd: (tokens) => tokens.at(-1) === end },
          ).search
        expect(search.finished[0]?.tokens).toEqual(best?.tokens)
        expect(search.finished[0]?.score).toBeCloseTo(best?.score ?? NaN, 12)
      }),
      { seed: SEED, numRuns: 60 },
    ))
})

describe(`the running texts of a beam search (seed ${SEED})`, () => {
  const vocabulary = 7

  it('are the most likely ones of all that do not end, with any number of end tokens', () =>
    fc.assert(
      fc.property(
        fc.nat(100_000),
        fc.integer({ min: 1, max: 3 }),
        fc.subarray(
          Array.from({ length: vocabulary }, (_, i) => i),
          { minLength: 1, maxLength: 4 },
        ),
        (seed, numBeams, endTokens) => {
          const isEnd = (tokens: readonly number[]): boolean => endTokens.includes(tokens.at(-1) ?? NaN)
          const settings = { numBeams, lengthPenalty: 1, maxNewTokens: 9, ends: endTokens.length, isEnd }
          let search = initialSearch
          for (let step = 0; step < 3; step++) {
            // end tokens are the likely ones, so that they crowd out the others
            const rows = search.running.map((_, row) =>
              logProbabilities(
                uniforms(seed, 'generation', 10 * step + row, vocabulary).map((u, i) => u + (endTokens.includes(i) ? 2 : 0)),
              ),
            )
            const all = search.running.flatMap(({ tokens, score }, row) =>
              Array.from(rows[row] ?? [], (logProbability, token) => ({ tokens: [...tokens, token], score: score + logProbability })),
            )
            const expected = all
              .filter(({ tokens }) => !isEnd(tokens))
              .sort((a, b) => b.score - a.score)
              .slice(0, numBeams)
            search = searchStep(search, rows, settings).search
            expect(search.running).toEqual(expected)
          }
        },
      ),
      { seed: SEED, numRuns: 200 },
    ))
})

describe('generated texts', () => {
  const config = {
    ...decoderConfig,
    ...{ vocabularySize: 8, hiddenSize: 4, heads: 1, keyValueHeads: 1, headSize: 4, intermediateSize: 4, maxPositions: 12 },
    rotaryBase: 100,
  } as const
  const nothingKept = () => expect.fail('nothing keeps a cache')
  /** A decoder whose next token is the last one and one more, but for a little chance. */
  const counting: Decoder = {
    positions: 12,
    tokenBytes: 8,
    assembly: plainAssembly(decoderModel(config), () => expect.fail('no tensor is asked for'), 'float32'),
    begin: async (prompts) => {
      let last = prompts.map((ids) => ids.at(-1) ?? 0)
      const rows: DecodedRows = {
        logits: () => last.map((token) => Float32Array.from({ length: 8 }, (_, i) => (i === (token + 1) % 8 ? 3 : 0))),
        append: async (next) => {
          last = next.map(({ token }) => token)
        },
        join: async (others) => {
          last = [...last, ...others.logits().map((row) => (row.indexOf(3) + 7) % 8)]
        },
        cached: nothingKept,
        reread: nothingKept,
      }
      return rows
    },
    score: async () => undefined,
    checkWeights: async () => undefined,
    release: async () => undefined,
  }
  const usual: GenerationSettings = { ...resolveGeneration({ maxNewTokens: 5 }), endTokens: [], stops: () => false }
  const eventsOf = async (prompts: readonly (readonly number[])[], settings: Partial<GenerationSettings>, signal?: AbortSignal) => {
    const events: GenerationEvent[] = []
    for await (const event of generate(counting, prompts, { ...usual, ...settings }, signal)) events.push(event)
    return events
  }
  const texts = (events: readonly GenerationEvent[]) =>
    events.flatMap((event) => (event.kind === 'text' ? [[event.prompt, event.ended, event.tokens]] : []))

  it('end at an end token, at a stop text, after n tokens, or at the last position', async () => {
    const prompts = [[1], [4], [6], Array.from({ length: 10 }, () => 1)]
    const events = await eventsOf(prompts, { endTokens: [5], stops: (tokens) => tokens.join('').endsWith('70') })
    expect(new Map(texts(events).map(([prompt, ...rest]) => [prompt, rest]))).toEqual(
      new Map([
        [0, ['end', [2, 3, 4, 5]]],
        [1, ['end', [5]]],
        [2, ['stop', [7, 0]]],
        [3, ['length', [2, 3]]],
      ]),
    )
    for (const [prompt, , tokens] of texts(events))
      expect(events.flatMap((event) => (event.kind === 'token' && event.prompt === prompt ? [event.token] : []))).toEqual(tokens)
  })

  it('depend on the seed when sampled, and not on other prompts of the batch', async () => {
    const [prompts, sampling] = [[[1], [2, 3], [4], [5, 6, 7]], { ...plain, temperature: 2 }]
    const together = texts(await eventsOf(prompts, { sampling, seed: 3, batchSize: 4 }))
    expect(texts(await eventsOf(prompts, { sampling, seed: 3, batchSize: 1 }))).toEqual(together)
    expect(texts(await eventsOf(prompts, { sampling, seed: 4, batchSize: 4 }))).not.toEqual(together)
    const [first, second] = texts(await eventsOf([[1], [1]], { sampling, maxNewTokens: 9 })).map(([, , tokens]) => tokens)
    expect(first).not.toEqual(second)
  })

  it('stop when the signal is aborted', async () => {
    const stop = new AbortController()
    const events: GenerationEvent[] = []
    for await (const event of generate(counting, [[1]], { ...usual, maxNewTokens: 9 }, stop.signal)) {
      events.push(event)
      if (events.length === 3) stop.abort()
    }
    expect(events.map(({ kind }) => kind)).toEqual(['token', 'token', 'token'])
    expect(await eventsOf([[1], [2]], {}, AbortSignal.abort())).toEqual([])
  })

  it('are refused if logits are NaN', async () => {
    const broken: Decoder = {
      ...counting,
      begin: async (prompts) => ({
        logits: () => prompts.map(() => new Float32Array(8).fill(NaN)),
        append: async () => undefined,
        ...{ join: nothingKept, cached: nothingKept, reread: nothingKept },
      }),
    }
    for (const settings of [{}, { sampling: plain }, { numBeams: 2 }])
      await expect(generate(broken, [[1]], { ...usual, ...settings }).next()).rejects.toThrow(
        /^prompt 1: expected finite logits .*, got only NaN/,
      )
  })

  it.each([
    [{ temperature: 0, topK: 3 }, /^temperature: expected above 0 with topK/],
    [{ temperature: 1, numBeams: 2 }, /^numBeams: expected 1 with sampling, got 2/],
    [{ topP: 0 }, /^topP: expected .* got 0/],
    [{ maxNewTokens: 0 }, /^maxNewTokens: expected .* got 0/],
    [{ repetitionPenalty: 0 }, /^repetitionPenalty: expected .* got 0/],
  ])('are refused with contradictory or invalid settings: %o', (given, message) => expect(() => resolveGeneration(given)).toThrow(message))

  it('are sampled at temperature 1 if only top-k or top-p is given', () => {
    expect(resolveGeneration({ topK: 3 }).sampling).toEqual({ temperature: 1, topK: 3, topP: 1 })
    expect(resolveGeneration({}).sampling).toBeNull()
  })
})
