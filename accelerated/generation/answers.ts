/** Answers as text: each piece as soon as no later token can change it, up to a stop text, and at the end the whole answer. */
import { z } from 'zod'
import { refuseOtherKeys, validate } from '../errors/validate.js'
import type { Decoder } from './decoder.js'
import { generate, type GenerationEnd } from './generate.js'
import { generationSettings, resolveGeneration, type GenerationInput, type ResolvedGeneration } from './generationSettings.js'

/** A piece of an answer as soon as no later token can change it, and at the end the whole answer. `prompt` counts from 0. */
export type AnswerEvent =
  | { readonly kind: 'piece'; readonly prompt: number; readonly text: string }
  | {
      readonly kind: 'answer'
      readonly prompt: number
      readonly text: string
      readonly tokens: number
      readonly ended: GenerationEnd
      readonly ids: readonly number[]
    }

/** What ends an answer, besides the model's end-of-text token. */
export type AnswerEnds = {
  /** Stop strings: the answer ends before the first of them. */
  readonly stop?: readonly string[]
  /** End the answer after its first line that is not blank. */
  readonly lineOnly?: boolean
}

/** What a caller without types may give. */
const endsSchema = z.looseObject({ stop: z.array(z.string().min(1)).optional(), lineOnly: z.boolean().optional() })
const names = [...Object.keys(generationSettings), ...Object.keys(endsSchema.shape)]

/** Validates settings and fills in defaults. @throws InputError for an unknown one, SettingsError for a wrong value */
export const resolveAnswers = (given: Partial<GenerationInput> & AnswerEnds): ResolvedGeneration & Required<AnswerEnds> => {
  const { stop = [], lineOnly = false, ...settings } = validate(endsSchema, given, 'settings', 'settings of generation')
  refuseOtherKeys(settings, names, 'settings', 'a setting of generation')
  return { ...resolveGeneration(settings), stop, lineOnly }
}

type Text = {
  readonly decode: (ids: readonly number[]) => string
  /** ids that end a text */
  readonly endTokens: readonly number[]
}

/** Generates an answer to each prompt, batch by batch. @throws SettingsError for a wrong setting, InputError if a prompt does not fit */
export async function* answersTo(
  decoder: Decoder,
  { decode, endTokens }: Text,
  prompts: readonly (readonly number[])[],
  settings: Partial<GenerationInput> & AnswerEnds,
  signal?: AbortSignal,
): AsyncGenerator<AnswerEvent, void> {
  const { stop, lineOnly, ...resolved } = resolveAnswers(settings)
  const texts = prompts.map((prompt) => streamedText(decode, stop, prompt))
  const [atText, atLine] = [stopsAt(decode, stop), stopsAtLine(decode)]
  const stops: typeof atText = (tokens, prompt) => atText(tokens, prompt) || (lineOnly && atLine(tokens))
  const generation = { ...resolved, endTokens, stops }
  for await (const event of generate(decoder, prompts, generation, signal)) {
    const [{ prompt }, text] = [event, texts[event.prompt]]
    const piece = (event.kind === 'token' ? text?.push(event.token) : text?.end()) ?? ''
    if (piece !== '') yield { kind: 'piece', prompt, text: piece }
    if (event.kind !== 'text') continue
    const { tokens: ids, ended } = event
    yield { kind: 'answer', prompt, text: text?.text() ?? '', tokens: ids.length, ended, ids }
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
const findFirst = (text: string, parts: readonly string[]): number =>
  parts
    .map((part) => text.indexOf(part))
    .filter((at) => at >= 0)
    .reduce((least, at) => (least < 0 ? at : Math.min(least, at)), -1)

/** The length of the longest suffix of the text that is a prefix of one of `parts`. */
const beginning = (text: string, parts: readonly string[]): number =>
  parts.reduce((most, part) => {
    const lengths = Array.from({ length: Math.min(part.length - 1, text.length) }, (_, i) => i + 1)
    return Math.max(most, ...lengths.filter((length) => text.endsWith(part.slice(0, length))))
  }, 0)
