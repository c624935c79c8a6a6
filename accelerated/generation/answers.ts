/** Answers as text: each piece as soon as no later token can change it, and at the end the whole answer. */
import { z } from 'zod'
import { refuseOtherKeys, validate } from '../errors/validate.js'
import type { Decoder } from './decoder.js'
import { generate, type GenerationEnd } from './generate.js'
import { generationSettings, resolveGeneration, type GenerationInput, type ResolvedGeneration } from './settings.js'
import { stopsAt, stopsAtLine, streamedText } from './streamedText.js'

/** A piece of an answer as soon as no later token can change it, and at the end the whole answer. `prompt` counts from 0. */
export type AnswerEvent =
  | { readonly kind: 'piece'; readonly prompt: number; readonly text: string }
  | { readonly kind: 'answer'; readonly prompt: number; readonly text: string; readonly tokens: number; readonly ended: GenerationEnd }

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
    if (event.kind === 'text') yield { kind: 'answer', prompt, text: text?.text() ?? '', tokens: event.tokens.length, ended: event.ended }
  }
}
