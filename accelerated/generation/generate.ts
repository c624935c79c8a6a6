/** Text generation: prompts in batches, token by token, until each text ends. Greedy, by beam search, or sampled. */
import { inputError } from '../errors/inputError.js'
import { uniforms } from '../parameters/random.js'
import { samplingDistribution, sample, largest, logProbabilities, applyRepetitionPenalty, type Sampling } from './sampling.js'
import type { DecodedRows, Decoder, Continuation } from './decoder.js'

// Beam search of one prompt, as in transformers (early_stopping = False). The score of a finished text is its log-probability over lengthᵖᵉⁿᵃˡᵗʸ. The
// search ends when the best running text, ended now, would not beat the worst finished one.
/** tokens: those after the prompt · score: their log-probability; for a finished text, over lengthᵖᵉⁿᵃˡᵗʸ */
export type Beam = { readonly tokens: readonly number[]; readonly score: number }

type BeamSettings = {
  readonly numBeams: number
  readonly lengthPenalty: number
  readonly maxNewTokens: number
  /** number of tokens that may end a text: the search considers this many more candidates */
  readonly ends: number
  /** whether a text ends with its last token */
  readonly isEnd: (tokens: readonly number[]) => boolean
}

type Search = {
  /** the best first, at most `numBeams` */
  readonly running: readonly Beam[]
  /** the best first, at most `numBeams` */
  readonly finished: readonly Beam[]
  readonly done: boolean
}

export const initialSearch: Search = { running: [{ tokens: [], score: 0 }], finished: [], done: false }

/**
 * Appends one token. logProbabilities: of the next token of each running text, [vocabulary] each. Returns the search and, for each text that
 * continues, the index of the running text that it continues, and its token.
 */
export const searchStep = (
  { running, finished }: Search,
  logProbabilities: readonly Float64Array[],
  { numBeams, lengthPenalty, maxNewTokens, ends, isEnd }: BeamSettings,
): { readonly search: Search; readonly continuations: readonly Continuation[] } => {
  const count = Math.max(2, 1 + ends) * numBeams // enough to keep numBeams running texts if all others end
  const candidates = running
    .flatMap(({ tokens, score }, from) =>
      largest(logProbabilities[from] ?? [], count).map(({ token, score: logProbability }) => ({
        from,
        token,
        tokens: [...tokens, token],
        score: score + logProbability,
      })),
    )
    .sort((a, b) => b.score - a.score || a.from - b.from)
    .slice(0, count)
    .map((candidate, rank) => ({
      ...candidate,
      rank,
      ended: candidate.tokens.length >= maxNewTokens || isEnd(candidate.tokens),
    }))
  const continuing = candidates.filter(({ ended }) => !ended).slice(0, numBeams)
  const length = (running[0]?.tokens.length ?? 0) + 1
  const ended = candidates
    .filter((candidate) => candidate.ended && candidate.rank < numBeams) // later candidates only replace ended ones
    .map(({ tokens, score }) => ({ tokens, score: score / length ** lengthPenalty }))
  const best = [...finished, ...ended].sort((a, b) => b.score - a.score).slice(0, numBeams)
  const [first, worst] = [continuing[0], best.length < numBeams ? -Infinity : (best.at(-1)?.score ?? -Infinity)]
  return {
    search: {
      running: continuing.map(({ tokens, score }) => ({ tokens, score })),
      finished: best,
      done: first === undefined || first.score / length ** lengthPenalty <= worst,
    },
    continuations: continuing.map(({ from, token }) => ({ from, token })),
  }
}

export type GenerationSettings = {
  readonly maxNewTokens: number
  /** null: greedy */
  readonly sampling: Sampling | null
  /** beam width; 1: no beam search. Must be 1 with `sampling`. */
  readonly numBeams: number
  readonly lengthPenalty: number
  readonly repetitionPenalty: number
  readonly seed: number
  readonly batchSize: number
  /** ids that end a text */
  readonly endTokens: readonly number[]
  /** whether a text ends with its last token because of its content. tokens: those after the prompt */
  readonly stops: (tokens: readonly number[], prompt: readonly number[]) => boolean
}

/** end: one of endTokens, which is the last of the tokens · stop: `stops` · length: maxNewTokens or the model's positions */
export type GenerationEnd = 'end' | 'stop' | 'length'

/** Each token of prompt number `prompt` as soon as it is certain (with beams: at the end), then the whole text. */
export type GenerationEvent =
  | { readonly kind: 'token'; readonly prompt: number; readonly token: number }
  | { readonly kind: 'text'; readonly prompt: number; readonly tokens: readonly number[]; readonly ended: GenerationEnd }

/** The largest number of new tokens: the model's positions limit it too. */
const roomFor = (decoder: Decoder, prompt: readonly number[], { maxNewTokens }: GenerationSettings): number =>
  Math.min(maxNewTokens, decoder.positions - prompt.length)

/**
 * Prompts have at least one token, and fewer than the model's positions. Apart from rounding, a text does not depend on the other prompts: a draw is
 * a function of seed, prompt number and position. An aborted `signal` ends it after a token or a chunk of a prompt; unfinished texts then have no `text` event.
 */
export async function* generate(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  settings: GenerationSettings,
  signal?: AbortSignal,
): AsyncGenerator<GenerationEvent, void> {
  const numbered = prompts.map((ids, prompt): Numbered => ({ prompt, ids, room: roomFor(decoder, ids, settings) }))
  const full = numbered.find(({ room }) => room < 1)
  if (full !== undefined)
    throw new Error(`generate: expected room for a token after prompt ${full.prompt}, got ${full.ids.length} tokens in it`)
  for (let start = 0; start < prompts.length; start += settings.batchSize) {
    const batch = numbered.slice(start, start + settings.batchSize)
    await decoder.checkWeights()
    const rows = await decoder.begin(
      batch.map(({ ids }) => ids),
      signal,
    )
    for await (const event of settings.numBeams > 1 ? byBeams(rows, batch, settings, signal) : oneByOne(rows, batch, settings, signal)) {
      if (event.kind === 'text') await decoder.checkWeights() // no answer counts whose weights changed meanwhile
      yield event
    }
    if (signal?.aborted === true) return
  }
}

type Numbered = { readonly prompt: number; readonly ids: readonly number[]; readonly room: number }

/** Why a text ends with its last token; null if it continues. */
const findEndReason = (
  tokens: readonly number[],
  { ids, room }: Pick<Numbered, 'ids' | 'room'>,
  { endTokens, stops }: GenerationSettings,
): GenerationEnd | null => {
  if (endTokens.includes(tokens.at(-1) ?? -1)) return 'end'
  if (stops(tokens, ids)) return 'stop'
  return tokens.length >= room ? 'length' : null
}

async function* oneByOne(
  rows: DecodedRows,
  batch: readonly Numbered[],
  settings: GenerationSettings,
  signal: AbortSignal | undefined,
): AsyncGenerator<GenerationEvent, void> {
  let texts = batch.map((prompt) => ({ ...prompt, tokens: [] as number[] }))
  while (texts.length > 0 && signal?.aborted !== true) {
    const logits = rows.logits()
    const ended = new Set<number>()
    for (const [row, { prompt, ids, room, tokens }] of texts.entries()) {
      const scores = applyRepetitionPenalty(logits[row] ?? new Float32Array(0), [...ids, ...tokens], settings.repetitionPenalty)
      const token =
        settings.sampling === null
          ? (largest(scores, 1)[0]?.token ?? NaN)
          : sample(samplingDistribution(scores, settings.sampling), drawUniform(settings.seed, prompt, tokens.length))
      if (Number.isNaN(token)) throw noNumbers(prompt)
      tokens.push(token)
      yield { kind: 'token', prompt, token }
      const end = findEndReason(tokens, { ids, room }, settings)
      if (end === null) continue
      ended.add(row)
      yield { kind: 'text', prompt, tokens, ended: end }
    }
    const continuing = texts.map((_, row) => row).filter((row) => !ended.has(row))
    texts = continuing.flatMap((row) => texts[row] ?? [])
    if (texts.length > 0) await rows.append(texts.map(({ tokens }, i) => ({ from: continuing[i] ?? 0, token: tokens.at(-1) ?? 0 })))
  }
}

const noNumbers = (prompt: number): Error => inputError(`prompt ${prompt + 1}`, 'finite logits from the model and its adapter', 'only NaN')

/** The draw of a token, keyed by its prompt's number and its position. */
const drawUniform = (seed: number, prompt: number, position: number): number =>
  uniforms(seed, 'generation', prompt * 0x100000000 + position, 1)[0] ?? 0.5

async function* byBeams(
  rows: DecodedRows,
  batch: readonly Numbered[],
  settings: GenerationSettings,
  signal: AbortSignal | undefined,
): AsyncGenerator<GenerationEvent, void> {
  let searches = batch.map((prompt) => ({ ...prompt, search: initialSearch }))
  while (searches.length > 0 && signal?.aborted !== true) {
    const logits = rows.logits()
    let first = 0 // row of a search's best running text
    const next = []
    for (const { search, ...prompt } of searches) {
      const scores = search.running.map(({ tokens }, i) => {
        const unpenalized = logProbabilities(logits[first + i] ?? new Float32Array(0))
        return Float64Array.from(applyRepetitionPenalty(unpenalized, [...prompt.ids, ...tokens], settings.repetitionPenalty))
      })
      const step = searchStep(search, scores, {
        numBeams: settings.numBeams,
        lengthPenalty: settings.lengthPenalty,
        maxNewTokens: prompt.room,
        ends: settings.endTokens.length,
        isEnd: (tokens) => findEndReason(tokens, { ...prompt, room: Infinity }, settings) !== null,
      })
      if (step.search.running.length + step.search.finished.length === 0) throw noNumbers(prompt.prompt)
      if (step.search.done) yield* toEvents(prompt, step.search, settings)
      else next.push({ ...prompt, search: step.search, rows: step.continuations.map(({ from, token }) => ({ from: first + from, token })) })
      first += search.running.length
    }
    searches = next
    if (next.length > 0) await rows.append(next.flatMap((search) => search.rows))
  }
}

function* toEvents({ prompt, ...rest }: Numbered, { finished }: Search, settings: GenerationSettings): Generator<GenerationEvent> {
  const tokens = finished[0]?.tokens ?? []
  for (const token of tokens) yield { kind: 'token', prompt, token }
  yield { kind: 'text', prompt, tokens, ended: findEndReason(tokens, rest, settings) ?? 'length' }
}
