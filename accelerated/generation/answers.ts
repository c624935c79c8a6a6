/** Answers as text: each piece as soon as no later token can change it, and at the end the whole answer. */
import type { Decoder } from './decoder.js'
import { generate, type GenerationEnd } from './generate.js'
import { resolveGeneration, type GenerationInput } from './settings.js'
import { stopsAt, stopsAtLine, streamedText } from './streamedText.js'

/** A piece of an answer as soon as no later token can change it, and at the end the whole answer. `prompt` counts from 0. */
export type AnswerEvent =
  | { readonly kind: 'piece'; readonly prompt: number; readonly text: string }
  | { readonly kind: 'answer'; readonly prompt: number; readonly text: string; readonly tokens: number; readonly ended: GenerationEnd }

/** What ends an answer, besides the model's end-of-text token. */
export type AnswerEnds = {
  /** Stop strings: the answer ends before the first of them. */
  readonly stop?: ReadonlyArray<string>
  /** End the answer after its first line that is not blank. */
  readonly lineOnly?: boolean
}

type Text = {
  readonly decode: (ids: ReadonlyArray<number>) => string
  /** ids that end a text */
  readonly endTokens: ReadonlyArray<number>
}

/** Generates an answer to each prompt, batch by batch. @throws SettingsError for a wrong setting, InputError if a prompt does not fit */
export async function* answersTo(
  decoder: Decoder,
  { decode, endTokens }: Text,
  prompts: ReadonlyArray<ReadonlyArray<number>>,
  { stop = [], lineOnly = false, ...settings }: Partial<GenerationInput> & AnswerEnds,
  signal?: AbortSignal,
): AsyncGenerator<AnswerEvent, void> {
  const texts = prompts.map((prompt) => streamedText(decode, stop, prompt))
  const [atText, atLine] = [stopsAt(decode, stop), stopsAtLine(decode)]
  const stops: typeof atText = (tokens, prompt) => atText(tokens, prompt) || (lineOnly && atLine(tokens))
  const generation = { ...resolveGeneration(settings), endTokens, stops }
  for await (const event of generate(decoder, prompts, generation, signal)) {
    const [{ prompt }, text] = [event, texts[event.prompt]]
    const piece = (event.kind === 'token' ? text?.push(event.token) : text?.end()) ?? ''
    if (piece !== '') yield { kind: 'piece', prompt, text: piece }
    if (event.kind === 'text') yield { kind: 'answer', prompt, text: text?.text() ?? '', tokens: event.tokens.length, ended: event.ended }
  }
}
