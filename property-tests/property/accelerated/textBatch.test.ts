/** A batch that texts join while it runs: each has the tokens that it has alone. Penalties, bias and log-probabilities have their closed forms. */
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildAssembly, buildInitialState, openRuntime } from '../../../evaluation/agreement/acceleratedSide.js'
import { drawDecoder } from '../../../evaluation/agreement/drawModel.js'
import { openDecoder, type Decoder } from '../../../accelerated/generation/decoder.js'
import { textBatch, type GenerationSettings, type ScoredChoice, type TextRequest } from '../../../accelerated/generation/generate.js'
import { resolveGeneration } from '../../../accelerated/generation/generationSettings.js'
import { changeScores } from '../../../accelerated/generation/sampling.js'
import { someDecoder } from '../../agreement/modelOptions.js'
import { keepingEngine } from '../../support/keepingEngine.js'
import { SEED } from '../../support/seed.js'

const model = drawDecoder(someDecoder({ headSize: 8, window: 3, lengths: [5, 7, 1] }))
const { vocabularySize } = model.config

/** Reads two tokens at a time, so that texts get tokens while a prompt is read. */
const open = (isKept: boolean, dtype: 'float32' | 'float64'): Promise<Decoder> => {
  const runtime = openRuntime({ device: 'cpu', precision: dtype })
  const { phase, parameters } = buildInitialState(model, 'open', dtype)
  const engine = isKept ? keepingEngine(runtime.engine, []) : runtime.engine
  return openDecoder(buildAssembly(model, dtype), phase, parameters, { ...runtime, engine }, 2)
}

const settings = fc
  .record({
    temperature: fc.constantFrom(0, 0.7, 2),
    seed: fc.nat(1_000),
    maxNewTokens: fc.integer({ min: 1, max: 6 }),
    presencePenalty: fc.constantFrom(0, 1.5),
    frequencyPenalty: fc.constantFrom(0, -0.5),
    batchSize: fc.constantFrom(2, 3, 8),
  })
  .map((given): GenerationSettings => ({ ...resolveGeneration(given), endTokens: [1], stops: () => false, logprobs: 2 }))
const plain: GenerationSettings = { ...resolveGeneration({ maxNewTokens: 5 }), endTokens: [], stops: () => false }
const requests = fc.array(
  fc.record({
    ids: fc.array(fc.nat(vocabularySize - 1), { minLength: 1, maxLength: 6 }),
    settings,
    arrives: fc.nat(12),
    leaves: fc.option(fc.nat(8)),
  }),
  { minLength: 1, maxLength: 7 },
)

/** The tokens of each text. A text is added after `arrives` events, and aborted once it has `leaves` tokens. */
const run = async (
  decoder: Decoder,
  given: readonly (Pick<TextRequest, 'ids' | 'settings'> & { arrives: number; leaves: number | null })[],
  overlaps = false,
) => {
  const batch = textBatch(decoder, { bytes: 30 * decoder.tokenBytes, overlaps })
  const [tokens, ended] = [new Map<number, number[]>(), new Map<number, string>()]
  const stops = given.map(() => new AbortController())
  let events = 0
  const arrive = (all: boolean): void =>
    given.forEach(({ arrives, ids, settings }, prompt) => {
      if (tokens.has(prompt) || (!all && arrives > events)) return
      tokens.set(prompt, [])
      batch.add({ prompt, ids, settings, draw: 0, signal: stops[prompt]?.signal })
    })
  while (tokens.size < given.length || events === 0) {
    arrive(events > 0)
    for await (const event of batch.events()) {
      events++
      if (event.kind === 'token') tokens.get(event.prompt)?.push(event.token)
      if (event.kind === 'text') ended.set(event.prompt, event.ended)
      given.forEach(({ leaves }, i) => leaves === (tokens.get(i)?.length ?? -1) && stops[i]?.abort())
      arrive(false)
    }
    events++
  }
  return given.map((_, i) => ({ tokens: tokens.get(i), ended: ended.get(i) }))
}

describe(`texts that join a running batch (seed ${SEED})`, () => {
  it.each([
    ['a growing cache', false, 'float64'],
    ['a cache that stays on the device', true, 'float64'],
    ['a cache with room', false, 'float32'],
  ] as const)('have the tokens that they have alone, with %s', async (_, isKept, dtype) => {
    const decoder = await open(isKept, dtype)
    try {
      await fc.assert(
        fc.asyncProperty(requests, fc.boolean(), async (given, overlaps) => {
          const together = await run(decoder, given, overlaps)
          for (const [i, one] of given.entries()) {
            const [alone] = await run(decoder, [{ ...one, arrives: 0 }])
            if (one.leaves === null) expect(together[i]).toEqual(alone)
            else expect(alone?.tokens?.slice(0, together[i]?.tokens?.length)).toEqual(together[i]?.tokens)
          }
        }),
        { seed: SEED, numRuns: 25 },
      )
    } finally {
      await decoder.release()
    }
  })
})

describe('a batch without overlaps', () => {
  it('does the same work in the same order, however long its weights take to check', async () => {
    const decoder = await open(false, 'float64')
    const work = async (delay: number): Promise<readonly string[]> => {
      const calls: string[] = []
      const slow: Decoder = {
        ...decoder,
        checkWeights: () => (delay === 0 ? Promise.resolve() : pause(delay)),
        begin: async (prompts) => {
          calls.push(`begin ${prompts.length}`)
          const rows = await decoder.begin(prompts)
          return { ...rows, append: (next) => rows.append(next).finally(() => calls.push(`append ${next.length}`)) }
        },
      }
      const given = [4, 1, 3, 2, 1, 4].map((maxNewTokens, i) => ({ ids: [i + 2, 3], maxNewTokens }))
      const batch = textBatch(slow)
      for (const [prompt, { ids, maxNewTokens }] of given.entries())
        batch.add({ prompt, ids, settings: { ...plain, maxNewTokens, batchSize: 3 }, draw: 0 })
      for await (const _ of batch.events());
      return calls
    }
    try {
      const fast = await work(0)
      expect(fast.filter((call) => call.startsWith('begin')).length).toBeGreaterThan(2)
      expect(await work(20)).toEqual(fast)
    } finally {
      await decoder.release()
    }
  })
})

describe('the log-probabilities of a text', () => {
  it('are log softmax of the logits of the model alone, whatever changes the scores', async () => {
    const decoder = await open(false, 'float64')
    const [ids, given] = [[3, 5], { ...plain, sampling: { temperature: 0.7, topK: null, topP: 1 }, presencePenalty: 1.5, logprobs: 2 }]
    const [batch, tokens, scored] = [textBatch(decoder), [] as number[], [] as (ScoredChoice | undefined)[]]
    batch.add({ prompt: 0, ids, settings: given, draw: 0 })
    for await (const event of batch.events()) {
      if (event.kind !== 'token') continue
      tokens.push(event.token)
      scored.push(event.scored)
    }
    const all: number[][] = []
    await decoder.score([...ids, ...tokens], (logits) => void all.push([...logits]))
    await decoder.release()
    expect(tokens.length).toBe(5)
    for (const [i, token] of tokens.entries()) {
      const logits = all[ids.length - 1 + i] ?? []
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0)
      const expected = logits.map((logit, id) => ({ token: id, score: Math.log(Math.exp(logit) / total) }))
      expect(scored[i]?.logprob).toBeCloseTo(expected[token]?.score ?? NaN, 9)
      const best = expected.sort((a, b) => b.score - a.score).slice(0, 2)
      expect(scored[i]?.top.map((one) => one.token)).toEqual(best.map((one) => one.token))
      scored[i]?.top.forEach(({ score }, at) => expect(score).toBeCloseTo(best[at]?.score ?? NaN, 9))
    }
  })
})

describe('the changes of scores', () => {
  const none = { repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0 }

  it('are −presence once, −frequency for each time, and the bias, for tokens of the answer and not of the prompt', () => {
    const scores = changeScores(
      Float32Array.of(1, 2, 3, 4),
      { ...none, presencePenalty: 0.5, frequencyPenalty: 0.25, logitBias: { 0: -100, 3: 2 } },
      [2],
      [1, 1, 3],
    )
    expect([...scores]).toEqual([-99, 2 - 0.5 - 2 * 0.25, 3, 4 - 0.5 - 0.25 + 2])
  })

  it('are none by default', () => {
    const logits = Float32Array.of(1, 2)
    expect(changeScores(logits, none, [0], [1])).toBe(logits)
  })
})
