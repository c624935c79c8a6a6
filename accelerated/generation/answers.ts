/** Answers as text: each piece as soon as no later token can change it, up to a stop text, and at the end the whole answer. */
import { z } from 'zod'
import { SettingsError } from '../errors/expectedErrors.js'
import { inputError } from '../errors/inputError.js'
import { refuseOtherKeys, validate } from '../errors/validate.js'
import type { Tokenizer } from '../checkpoints/tokenizer/tokenizer.js'
import type { Decoder } from './decoder.js'
import { textBatch, type GenerationEnd, type ScoredChoice, type TextRequest } from './generate.js'
import { choice, grammarLimits, literal, sequence, sortTokens, type Grammar, type TokenLimit } from './grammar.js'
import { schemaGrammar } from './jsonSchema.js'
import { generationSettings, resolveGeneration, type GenerationInput, type ResolvedGeneration } from './generationSettings.js'

/** A token of an answer and its most likely alternatives. bytes: in UTF-8; one letter may take several tokens */
export type TokenLogprob = LikelyToken & { readonly top: readonly LikelyToken[] }
export type LikelyToken = { readonly token: string; readonly bytes: readonly number[]; readonly logprob: number }

/** `logprobs` of the tokens since the last piece, or of the whole answer, without the one that ended it; absent: nobody asked for them */
export type AnswerEvent = { readonly prompt: number; readonly text: string; readonly logprobs?: readonly TokenLogprob[] } & (
  | { readonly kind: 'piece' }
  | { readonly kind: 'answer'; readonly tokens: number; readonly ended: GenerationEnd; readonly ids: readonly number[] }
)

/** What an answer may have, besides the settings of generation. */
export type AnswerOptions = {
  /** Stop strings: the answer ends before the first of them. */
  readonly stop?: readonly string[]
  /** End the answer after its first line that is not blank. */
  readonly lineOnly?: boolean
  /** Added to the logits of tokens, by id. */
  readonly logitBias?: Readonly<Record<number, number>>
  /** Also report each token's log-probability, and this many of the most likely alternatives. */
  readonly logprobs?: number
  /** The only texts that the answer may be. Without beams. */
  readonly form?: AnswerForm
}

/** One of several rows of texts and of JSON that fits a schema. */
export type AnswerForm = readonly (readonly (string | { readonly schema: unknown })[])[]

/** @param where names the schema in errors @throws InputError for a schema that nothing fits, or that is not supported */
export const formGrammar = (form: AnswerForm, where = 'schema'): Grammar =>
  choice(
    ...form.map((row) => sequence(...row.map((part) => (typeof part === 'string' ? literal(part) : schemaGrammar(part.schema, where))))),
  )

/** What a caller without types may give. */
const optionsSchema = z.looseObject({
  stop: z.array(z.string().min(1)).optional(),
  lineOnly: z.boolean().optional(),
  logitBias: z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100)).optional(),
  logprobs: z.int().min(0).max(20).optional(),
  form: z.array(z.array(z.union([z.string(), z.object({ schema: z.unknown() })]))).optional(),
})
const names = [...Object.keys(generationSettings), ...Object.keys(optionsSchema.shape)]

/** Settings with defaults. */
type Resolved = ResolvedGeneration & AnswerOptions & Required<Pick<AnswerOptions, 'stop' | 'lineOnly'>>

/** Validates settings and fills in defaults. @throws InputError for an unknown one, SettingsError for a wrong value */
export const resolveAnswers = (given: Partial<GenerationInput> & AnswerOptions): Resolved => {
  const {
    stop = [],
    lineOnly = false,
    logitBias,
    logprobs,
    form,
    ...settings
  } = validate(optionsSchema, given, 'settings', 'settings of generation')
  refuseOtherKeys(settings, names, 'settings', 'a setting of generation')
  const resolved = resolveGeneration(settings)
  const beamless = logprobs !== undefined ? 'logprobs' : form !== undefined ? 'form' : null
  if (resolved.numBeams > 1 && beamless !== null) throw new SettingsError('numBeams', `1 with ${beamless}`, String(resolved.numBeams))
  return {
    ...resolved,
    stop,
    lineOnly,
    ...(logitBias && { logitBias }),
    ...(form && { form }),
    ...(logprobs === undefined ? {} : { logprobs }),
  }
}

/** What answers need of a tokenizer. */
export type AnswerText = {
  readonly decode: Decode
  /** the bytes of a token; of a special one, its name's */
  readonly bytes: (id: number) => Uint8Array
  /** ids that end a text */
  readonly endTokens: readonly number[]
  /** Limits an answer to a form. @throws InputError if the form or the vocabulary cannot be written */
  readonly limit: (form: AnswerForm) => TokenLimit
}

/** Forms whose states are kept. */
const mostForms = 8

/** @param size of the vocabulary @param endTokens ids that end a text */
export const answerText = (
  { decode, bytes, isSpecial }: Pick<Tokenizer, 'decode' | 'bytes' | 'isSpecial'>,
  size: number,
  endTokens: readonly number[],
): AnswerText => {
  let sorted: ReturnType<typeof sortTokens> | null = null
  const sort = () => {
    const tokens = sortTokens(size, (id) => (isSpecial(id) || endTokens.includes(id) ? null : bytes(id)))
    const probe = '{"a": [0]}' // the bytes of tokens must be what they add to a text
    const ids = [...probe].map((letter) => tokens.ids[tokens.texts.indexOf(letter)])
    if (ids.includes(undefined) || decode(ids.map((id) => id ?? 0)) !== probe)
      throw inputError('the tokenizer', 'tokens of a byte or letter each, which can spell JSON', 'others')
    return tokens
  }
  const limits = new Map<string, () => TokenLimit>()
  const limit: AnswerText['limit'] = (form) => {
    sorted ??= sort()
    const key = JSON.stringify(form)
    const start = limits.get(key) ?? grammarLimits(formGrammar(form), sorted, endTokens)
    limits.delete(key)
    limits.set(key, start) // the last one
    for (const [oldest] of [...limits].slice(0, -mostForms)) limits.delete(oldest)
    return start()
  }
  return { decode, bytes, endTokens, limit }
}

/** An answer to generate; `settings` and all others as in TextRequest. */
export type AnswerRequest = Omit<TextRequest, 'settings'> & { readonly settings: Partial<GenerationInput> & AnswerOptions }

/** What a batch reports beside answers. begun: the prompt is about to be read. failed: of this answer alone */
export type AnswerBatchEvent =
  | AnswerEvent
  | { readonly kind: 'begun'; readonly prompt: number }
  | { readonly kind: 'failed'; readonly prompt: number; readonly error: Error }

/** A TextBatch of answers. */
export type AnswerBatch = {
  /** @throws SettingsError for a wrong setting, InputError for a token that the vocabulary lacks */
  readonly add: (request: AnswerRequest) => void
  readonly events: () => AsyncGenerator<AnswerBatchEvent, void>
}

/** @param overlaps as in textBatch */
export const answerBatch = (decoder: Decoder, text: AnswerText, overlaps = false): AnswerBatch => {
  const batch = textBatch(decoder, { overlaps })
  const open = new Map<number, OpenAnswer>()
  return {
    add: (request) => {
      const { stop, lineOnly, form, ...resolved } = resolveAnswers(request.settings)
      const { vocabularySize } = decoder.assembly.model
      const other = Object.keys(resolved.logitBias ?? {}).find((id) => Number(id) >= vocabularySize)
      if (other !== undefined) throw inputError('logitBias', `token ids below ${vocabularySize}`, other)
      const [atText, atLine] = [stopsAt(text.decode, stop), stopsAtLine(text.decode)]
      const stops: typeof atText = (tokens, prompt) => atText(tokens, prompt) || (lineOnly && atLine(tokens))
      const limit = form === undefined ? {} : { limit: text.limit(form) }
      batch.add({ ...request, settings: { ...resolved, endTokens: text.endTokens, stops, ...limit } })
      open.set(request.prompt, openAnswer(text, stop, request, resolved.logprobs !== undefined))
    },
    events: async function* () {
      for await (const event of batch.events()) {
        const answer = open.get(event.prompt)
        if (event.kind === 'begun') for (const [prompt, { isWanted }] of open) if (!isWanted()) open.delete(prompt)
        if (event.kind === 'begun' || event.kind === 'failed') yield event
        else if (event.kind === 'token') yield* answer?.push(event.token, event.scored) ?? []
        else yield* answer?.end(event.tokens, event.ended) ?? []
        if (event.kind === 'failed' || event.kind === 'text') open.delete(event.prompt)
      }
    },
  }
}

type OpenAnswer = {
  readonly isWanted: () => boolean
  readonly push: (token: number, scored: ScoredChoice | undefined) => readonly AnswerEvent[]
  readonly end: (ids: readonly number[], ended: GenerationEnd) => readonly AnswerEvent[]
}

/** The events of one answer, from its tokens. */
const openAnswer = (
  { decode, bytes, endTokens }: AnswerText,
  stop: readonly string[],
  { prompt, ids, signal }: Pick<AnswerRequest, 'prompt' | 'ids' | 'signal'>,
  hasLogprobs: boolean,
): OpenAnswer => {
  const text = streamedText(decode, stop, ids)
  const all: TokenLogprob[] = []
  let sent = 0
  const likely = (id: number, logprob: number): LikelyToken => ({ token: name(bytes(id)), bytes: [...bytes(id)], logprob })
  const logprobsFrom = (first: number) => (hasLogprobs ? { logprobs: all.slice(first) } : {})
  const piece = (added: string): readonly AnswerEvent[] => {
    if (added === '') return []
    const event: AnswerEvent = { kind: 'piece', prompt, text: added, ...logprobsFrom(sent) }
    sent = all.length
    return [event]
  }
  return {
    isWanted: () => signal?.aborted !== true,
    push: (token, scored) => {
      if (scored !== undefined && !endTokens.includes(token))
        all.push({ ...likely(token, scored.logprob), top: scored.top.map((other) => likely(other.token, other.score)) })
      return piece(text.push(token))
    },
    end: (tokens, ended) => [
      ...piece(text.end()),
      { kind: 'answer', prompt, text: text.text(), tokens: tokens.length, ended, ids: tokens, ...logprobsFrom(0) },
    ],
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of bytes; of a part of a letter, the bytes as OpenAI writes them. */
const name = (bytes: Uint8Array): string => {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`
  }
}

/** Generates an answer to each prompt, batch by batch. @throws SettingsError for a wrong setting, InputError if a prompt does not fit */
export async function* answersTo(
  decoder: Decoder,
  text: AnswerText,
  prompts: readonly (readonly number[])[],
  settings: Partial<GenerationInput> & AnswerOptions,
  signal?: AbortSignal,
): AsyncGenerator<AnswerEvent, void> {
  const batch = answerBatch(decoder, text)
  for (const [prompt, ids] of prompts.entries()) batch.add({ prompt, ids, settings, draw: prompt, signal })
  for await (const event of batch.events()) {
    if (event.kind === 'failed') throw event.error
    if (event.kind !== 'begun') yield event
  }
}

export type Decode = (ids: readonly number[]) => string

type StreamedText = {
  /** Returns the text that became certain with this token: whole letters only, and nothing that may start a stop text. */
  readonly push: (token: number) => string
  /** Returns the rest, after the last token. */
  readonly end: () => string
  /** everything returned so far */
  readonly text: () => string
}

/** Earlier tokens to decode with the new ones, more if these have no text: some decoders drop a blank at the start of a text. */
const context = 5

/** Enough of the last tokens to have a text; all of them if none has. */
const withText = (ids: readonly number[], decode: Decode): readonly number[] => {
  let count = context
  while (count < ids.length && decode(ids.slice(-count)) === '') count *= 2
  return ids.slice(-count)
}

/** A decoder's text for bytes that are not a whole letter yet. */
const unfinished = '\ufffd'

/** @param stops stop texts, which are left out @param prompt the tokens before the text */
export const streamedText = (decode: Decode, stops: readonly string[], prompt: readonly number[]): StreamedText => {
  let pending: number[] = [] // not decoded to whole letters yet
  let before = withText(prompt, decode)
  let [held, stopped] = ['', false] // decoded, and not returned yet: a stop text begins nowhere else
  const returned: string[] = []
  const decodePending = (): void => {
    const [old, all] = [decode(before), decode([...before, ...pending])]
    held += all.slice(old.length)
    before = withText([...before, ...pending], decode)
    pending = []
  }
  const takeUpTo = (upTo: number): string => {
    const piece = held.slice(0, upTo)
    held = held.slice(upTo)
    if (piece !== '') returned.push(piece)
    return piece
  }
  const takeCertain = (): string => {
    const at = findFirst(held, stops)
    stopped = at >= 0
    return takeUpTo(stopped ? at : held.length - beginning(held, stops))
  }
  return {
    push: (token) => {
      if (stopped) return ''
      pending.push(token)
      if (decode([...before, ...pending]).endsWith(unfinished)) return ''
      decodePending()
      return takeCertain()
    },
    end: () => {
      if (stopped) return ''
      decodePending()
      return takeCertain() + (stopped ? '' : takeUpTo(held.length))
    },
    text: () => returned.join(''),
  }
}

/** Whether the last token completes a stop text. */
export const stopsAt =
  (decode: Decode, stops: readonly string[]) =>
  (tokens: readonly number[], prompt: readonly number[]): boolean => {
    if (stops.length === 0) return false
    const longest = stops.reduce((most, { length }) => Math.max(most, length), 0)
    const enough = 4 * (longest + 1) // a letter may be four tokens, and the first token may be a part of one
    if (tokens.length > enough) return findFirst(decode(tokens.slice(-enough)), stops) >= 0
    const before = withText(prompt, decode)
    return findFirst(decode([...before, ...tokens]).slice(decode(before).length), stops) >= 0
  }

/** Whether the text has a complete line that is not blank. */
export const stopsAtLine =
  (decode: Decode) =>
  (tokens: readonly number[]): boolean =>
    decode(tokens).trimStart().includes('\n')

/** The index of the first of `parts`; −1 if there is none. */
export const findFirst = (text: string, parts: readonly string[]): number =>
  parts
    .map((part) => text.indexOf(part))
    .filter((at) => at >= 0)
    .reduce((least, at) => (least < 0 ? at : Math.min(least, at)), -1)

/** The length of the longest suffix of the text that is a prefix of one of `parts`. */
export const beginning = (text: string, parts: readonly string[]): number =>
  parts.reduce((most, part) => {
    const lengths = Array.from({ length: Math.min(part.length - 1, text.length) }, (_, i) => i + 1)
    return Math.max(most, ...lengths.filter((length) => text.endsWith(part.slice(0, length))))
  }, 0)
