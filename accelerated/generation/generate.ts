/** Text generation: prompts in batches, token by token, until each text ends. Greedy, by beam search, or sampled. */
import { InputError, inputError } from '../errors/inputError.js'
import { uniforms } from '../parameters/random.js'
import {
  changeScores,
  largest,
  logProbabilities,
  sample,
  samplingDistribution,
  type ScoredToken,
  type Sampling,
  type ScoreChanges,
} from './sampling.js'
import type { DecodedRows, Decoder, Continuation, Logits } from './decoder.js'
import type { RowAdapter } from './stackedAdapters.js'
import { limitScores, type TokenLimit } from './grammar.js'

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

export type GenerationSettings = ScoreChanges & {
  readonly maxNewTokens: number
  /** null: greedy */
  readonly sampling: Sampling | null
  /** beam width; 1: no beam search. Must be 1 with `sampling`. */
  readonly numBeams: number
  readonly lengthPenalty: number
  readonly seed: number
  readonly batchSize: number
  /** ids that end a text */
  readonly endTokens: readonly number[]
  /** whether a text ends with its last token because of its content. tokens: those after the prompt */
  readonly stops: (tokens: readonly number[], prompt: readonly number[]) => boolean
  /** how many alternatives to report beside each token, with log-probabilities; absent: no log-probabilities. Without beams. */
  readonly logprobs?: number | undefined
  /** the grammar of this one text; absent: any tokens. Without beams. */
  readonly limit?: TokenLimit
}

/** end: one of endTokens, which is the last of the tokens, or the end of a grammar · stop: `stops` · length: maxNewTokens or the model's positions */
export type GenerationEnd = 'end' | 'stop' | 'length'

/** Of a token, and of the likeliest ones in its place: what the model alone gives, whatever changes the scores. */
export type ScoredChoice = {
  readonly logprob: number
  readonly top: readonly ScoredToken[]
}

/** Each token of prompt number `prompt` as soon as it is certain (with beams: at the end), then the whole text. */
export type GenerationEvent =
  | { readonly kind: 'token'; readonly prompt: number; readonly token: number; readonly scored?: ScoredChoice }
  | { readonly kind: 'text'; readonly prompt: number; readonly tokens: readonly number[]; readonly ended: GenerationEnd }

/** What a batch reports beside these. begun: the prompt is about to be read. failed: of this text alone */
export type BatchEvent =
  | GenerationEvent
  | { readonly kind: 'begun'; readonly prompt: number }
  | { readonly kind: 'failed'; readonly prompt: number; readonly error: Error }

/** A prompt has at least one token, and fewer than the model's positions. */
export type TextRequest = {
  /** its number in events */
  readonly prompt: number
  readonly ids: readonly number[]
  readonly settings: GenerationSettings
  /** A draw is a function of seed, this number, and the position. */
  readonly draw: number
  /** of a shared decoder */
  readonly adapter?: RowAdapter | undefined
  /** ends the text after a token, or after a chunk of its prompt: it then has no `text` event */
  readonly signal?: AbortSignal | undefined
}

/**
 * A batch that texts join between two tokens, each with its own settings, and leave when they end. Apart from rounding, a text does not depend on the
 * others.
 */
export type TextBatch = {
  readonly add: (request: TextRequest) => void
  /** Generates until no text waits. Texts that are added meanwhile join. What it throws, or leaving the loop, ends all. */
  readonly events: () => AsyncGenerator<BatchEvent, void>
}

/**
 * Generates the texts of prompts, `batchSize` at a time. An aborted `signal` ends it after a token or a chunk of a prompt; unfinished texts then have
 * no `text` event.
 */
export async function* generate(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  settings: GenerationSettings,
  signal?: AbortSignal,
): AsyncGenerator<GenerationEvent, void> {
  const batch = textBatch(decoder)
  for (const [prompt, ids] of prompts.entries()) batch.add({ prompt, ids, settings, draw: prompt, signal })
  for await (const event of batch.events()) {
    if (event.kind === 'failed') throw event.error
    if (event.kind !== 'begun') yield event
  }
}

type Waiting = TextRequest & {
  /** The largest number of new tokens: the model's positions limit it too. */
  readonly room: number
}
type Running = Waiting & {
  /** the row that has the logits of its next token */
  readonly row: number
  readonly tokens: number[]
}
/** Prompts that are being read: the running texts get tokens between their chunks. */
type Reading = {
  readonly texts: readonly Running[]
  readonly done: Promise<DecodedRows>
  readonly isDone: () => boolean
  readonly stop: () => void
}

/**
 * bytes: of a cache that several texts may share
 * overlaps: texts that wait are read while others get tokens, which shortens their wait. When they join then depends on the machine's speed, and so does
 * the last bit of their logits.
 */
type BatchOptions = { readonly bytes?: number; readonly overlaps?: boolean }

/** A text alone may have more: its model's positions bound it. */
const mostBytes = 2 ** 30

export const textBatch = (decoder: Decoder, { bytes = mostBytes, overlaps = false }: BatchOptions = {}): TextBatch => {
  let [waiting, texts, rows, reading]: [readonly Waiting[], readonly Running[], DecodedRows | null, Reading | null] = [[], [], null, null]

  /** Those that wait the longest, as far as there is room for them beside the others. */
  const takeNext = (): readonly Waiting[] => {
    const fits = (all: readonly Waiting[]): boolean =>
      all.length <= Math.min(...all.map(({ settings }) => settings.batchSize)) &&
      (all.length === 1 || all.length * Math.max(...all.map(({ ids, room }) => ids.length + room)) * decoder.tokenBytes <= bytes)
    const misfit = waiting.findIndex((one, i) => searches(one) || !fits([...texts, ...waiting.slice(0, i), one]))
    const taken = misfit < 0 ? waiting : waiting.slice(0, misfit)
    waiting = waiting.slice(taken.length)
    return taken
  }
  /** Texts of a beam search have a batch of their own. */
  const takeSearches = (): readonly Waiting[] => {
    const [first] = waiting
    const other = waiting.findIndex(
      ({ settings }, i) => i >= settings.batchSize || JSON.stringify(settings) !== JSON.stringify(first?.settings),
    )
    const taken = other < 0 ? waiting : waiting.slice(0, other)
    waiting = waiting.slice(taken.length)
    return taken
  }

  async function* events(): AsyncGenerator<BatchEvent, void> {
    try {
      for (;;) {
        waiting = waiting.filter(isWanted)
        texts = texts.filter(isWanted)
        if (texts.length === 0) rows = null
        const next = reading === null ? takeNext() : []
        for (const { prompt } of next) yield { kind: 'begun', prompt }
        if (next.length > 0) reading = read(decoder, next)
        if (reading !== null && (rows === null || !overlaps || reading.isDone())) {
          const { texts: read, done } = reading
          const [joined, first] = [await done, rows?.logits().length ?? 0]
          reading = null
          if (!read.some(isWanted)) continue // it may have ended after a chunk
          if (rows === null) rows = joined
          else await rows.join(joined)
          texts = [...texts, ...read.map((text) => ({ ...text, row: text.row + first }))]
        }
        if (texts.length > 0 && rows !== null) {
          texts = yield* chooseTokens(decoder, texts, rows.logits())
          const going = texts.filter(isWanted)
          if (going.length > 0) await rows.append(going.map(({ row, tokens }) => ({ from: row, token: tokens.at(-1) ?? 0 })))
          texts = going.map((text, row) => ({ ...text, row }))
        } else if (waiting.length > 0 && reading === null) yield* searchTexts(decoder, takeSearches())
        else if (reading === null) return
      }
    } finally {
      const unfinished = reading
      ;[waiting, texts, rows, reading] = [[], [], null, null]
      unfinished?.stop()
      if (unfinished !== null) await unfinished.done.catch(() => undefined)
    }
  }
  return {
    events,
    add: (request) => {
      const { ids, settings, prompt } = request
      const room = Math.min(settings.maxNewTokens, decoder.positions - ids.length)
      if (room < 1) throw new Error(`generate: expected room for a token after prompt ${prompt}, got ${ids.length} tokens in it`)
      waiting = [...waiting, { ...request, room }]
    },
  }
}

const isWanted = ({ signal }: TextRequest): boolean => signal?.aborted !== true

const searches = ({ settings }: TextRequest): boolean => settings.numBeams > 1

/** Begins to read prompts, equal ones of an adapter once. It ends after a chunk when nobody wants any of the texts. */
const read = (decoder: Decoder, requests: readonly Waiting[]): Reading => {
  const [stop, adapters] = [new AbortController(), [...new Set(requests.map(({ adapter }) => adapter))]]
  const keys = requests.map(({ ids, adapter }) => `${adapters.indexOf(adapter)}: ${ids.join()}`)
  const stopIfUnwanted = (): void => {
    if (!requests.some(isWanted)) stop.abort()
  }
  const signals = new Set(requests.map(({ signal }) => signal))
  for (const signal of signals) signal?.addEventListener('abort', stopIfUnwanted, { once: true })
  const unique = [...new Set(keys)]
  const first = unique.flatMap((key) => requests[keys.indexOf(key)] ?? [])
  const [prompts, own] = [first.map(({ ids }) => ids), first.map(({ adapter }) => adapter)]
  let isDone = false
  const done = decoder
    .checkWeights()
    .then(() => decoder.begin(prompts, stop.signal, own))
    .finally(() => {
      isDone = true
      for (const signal of signals) signal?.removeEventListener('abort', stopIfUnwanted)
    })
  done.catch(() => undefined) // awaited later
  const texts = requests.map((one, i) => ({ ...one, row: unique.indexOf(keys[i] ?? ''), tokens: [] }))
  return { texts, done, isDone: () => isDone, stop: () => stop.abort() }
}

/** Appends a token to each text. Returns the texts that continue. */
async function* chooseTokens(
  decoder: Decoder,
  texts: readonly Running[],
  logits: readonly Logits[],
): AsyncGenerator<BatchEvent, readonly Running[]> {
  const continuing: Running[] = []
  for (const text of texts) {
    const { prompt, tokens, settings } = text
    const scores = logits[text.row] ?? new Float32Array(0)
    const token = chooseToken(text, scores)
    if (token instanceof Error) {
      yield { kind: 'failed', prompt, error: token }
      continue
    }
    tokens.push(token)
    yield {
      kind: 'token',
      prompt,
      token,
      ...(settings.logprobs === undefined ? {} : { scored: scoreChoice(scores, token, settings.logprobs) }),
    }
    const ended = findEndReason(tokens, text, settings)
    if (ended === null) {
      continuing.push(text)
      continue
    }
    await decoder.checkWeights() // no answer counts whose weights changed meanwhile
    yield { kind: 'text', prompt, tokens, ended }
  }
  return continuing
}

/** The next token of a text, or why there is none. */
const chooseToken = ({ prompt, ids, tokens, settings, draw }: Running, logits: Logits): number | Error => {
  const changed = changeScores(logits, settings, ids, tokens)
  let scores = changed
  try {
    if (settings.limit !== undefined) scores = limitScores(changed, settings.limit.allowed(tokens))
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown // of this text alone
    throw thrown
  }
  const u = drawUniform(settings.seed, draw, tokens.length)
  const token =
    settings.sampling === null ? (largest(scores, 1)[0]?.token ?? NaN) : sample(samplingDistribution(scores, settings.sampling, u), u)
  return Number.isNaN(scores[token] ?? NaN) || scores[token] === -Infinity ? noNumbers(prompt) : token
}

const scoreChoice = (logits: Logits, token: number, top: number): ScoredChoice => {
  const all = logProbabilities(logits)
  return { logprob: all[token] ?? NaN, top: largest(all, top) }
}

/** Why a text ends with its last token; null if it continues. */
const findEndReason = (
  tokens: readonly number[],
  { ids, room }: Pick<Waiting, 'ids' | 'room'>,
  { endTokens, stops, limit }: GenerationSettings,
): GenerationEnd | null => {
  if (endTokens.includes(tokens.at(-1) ?? -1)) return 'end'
  if (stops(tokens, ids)) return 'stop'
  if (limit?.isComplete(tokens) === true) return 'end'
  return tokens.length >= room ? 'length' : null
}

const noNumbers = (prompt: number): Error => inputError(`prompt ${prompt + 1}`, 'finite logits from the model and its adapter', 'only NaN')

/** The draw of a token, keyed by the number of its draws and its position. */
const drawUniform = (seed: number, draw: number, position: number): number =>
  uniforms(seed, 'generation', draw * 0x100000000 + position, 1)[0] ?? 0.5

/** Beam searches of the same settings. */
async function* searchTexts(decoder: Decoder, batch: readonly Waiting[]): AsyncGenerator<BatchEvent, void> {
  const [first] = batch
  if (first === undefined) return
  for (const { prompt } of batch) yield { kind: 'begun', prompt }
  const reading = read(decoder, batch)
  for await (const event of byBeams(await reading.done, reading.texts, first.settings)) {
    if (event.kind === 'text') await decoder.checkWeights()
    yield event
  }
}

async function* byBeams(rows: DecodedRows, batch: readonly Running[], settings: GenerationSettings): AsyncGenerator<GenerationEvent, void> {
  let searches = batch.map((text) => ({ text, search: initialSearch, rows: [text.row] as readonly number[] }))
  while (searches.length > 0 && searches.some(({ text }) => isWanted(text))) {
    const logits = rows.logits()
    const next: Continuation[] = []
    const going: typeof searches = []
    for (const { text, search, rows: at } of searches) {
      const scores = search.running.map(({ tokens }, i) =>
        Float64Array.from(changeScores(logProbabilities(logits[at[i] ?? 0] ?? new Float32Array(0)), settings, text.ids, tokens)),
      )
      const step = searchStep(search, scores, {
        numBeams: settings.numBeams,
        lengthPenalty: settings.lengthPenalty,
        maxNewTokens: text.room,
        ends: settings.endTokens.length,
        isEnd: (tokens) => findEndReason(tokens, { ...text, room: Infinity }, settings) !== null,
      })
      if (step.search.running.length + step.search.finished.length === 0) throw noNumbers(text.prompt)
      if (step.search.done) yield* toEvents(text, step.search, settings)
      else {
        going.push({ text, search: step.search, rows: step.continuations.map((_, i) => next.length + i) })
        next.push(...step.continuations.map(({ from, token }) => ({ from: at[from] ?? 0, token })))
      }
    }
    searches = going
    if (next.length > 0) await rows.append(next)
  }
}

function* toEvents(text: Running, { finished }: Search, settings: GenerationSettings): Generator<GenerationEvent> {
  const [{ prompt }, tokens] = [text, finished[0]?.tokens ?? []]
  for (const token of tokens) yield { kind: 'token', prompt, token }
  yield { kind: 'text', prompt, tokens, ended: findEndReason(tokens, text, settings) ?? 'length' }
}
