/** Text generation: opens a decoder with its tokenizer and, if one is named, an adapter. */
import { namedEosTokenIds } from '../../accelerated/checkpoints/tokenizer/eosToken.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { keepingCache } from '../../accelerated/generation/decoder.js'
import type { RowAdapter } from '../../accelerated/generation/stackedAdapters.js'
import {
  answerBatch,
  answersTo,
  answerText,
  type AnswerBatch,
  type AnswerOptions,
  type AnswerEvent,
  type TokenLogprob,
} from '../../accelerated/generation/answers.js'
import { scoreTokens, type TokenScore } from '../../accelerated/generation/scores.js'
import type { GenerationInput } from '../../accelerated/generation/generationSettings.js'
import { framed, promptTokens, type Prompt } from '../tasks/texts/prompts.js'
import { openTextDecoder, type OpenTextDecoder } from './modelSessions.js'
import { openModel, type OpenedModel, type TrainedAdapterOptions } from './openModel.js'

export type GeneratorOptions = Pick<
  TrainedAdapterOptions,
  'model' | 'revision' | 'adapter' | 'trainedBy' | 'templateDate' | 'device' | 'precision' | 'threads'
> & {
  /** keep the cache of the last text: a prompt that begins with it, as in a conversation, reads only the rest (default: false) */
  readonly keepsCache?: boolean
}

export type { AnswerOptions, AnswerEvent, TokenLogprob, TokenScore }

/** A prompt as a client tokenized it. */
export type TokenPrompt = { readonly ids: readonly number[] }

export type Generator = {
  readonly device: string
  /** Prompt → token ids. @param where names the prompt in error messages. @throws InputError if it is empty, too long or no prompt */
  readonly encode: (prompt: Prompt | TokenPrompt, where?: string) => readonly number[]
  /** The log-probability of each token, with the `top` likeliest in its place. @throws InputError if logits are not finite */
  readonly score: (ids: readonly number[], top: number, signal?: AbortSignal) => Promise<readonly TokenScore[]>
  /** Generates an answer to each prompt, batch by batch. @throws SettingsError for a wrong setting, InputError if a prompt does not fit */
  readonly answers: (
    prompts: readonly (readonly number[])[],
    settings?: Partial<GenerationInput> & AnswerOptions,
    signal?: AbortSignal,
  ) => AsyncGenerator<AnswerEvent, void>
  /** of its prompts, where generators share a decoder */
  readonly adapter: RowAdapter | undefined
  /** A batch that answers may join while it runs, those of generators with the same decoder too. */
  readonly batch: () => AnswerBatch
  readonly release: () => Promise<void>
}

/** Call `release` when no more prompts come. @throws InputError or DeviceError with one line for the user */
export const openGenerator = async (input: Pick<GeneratorOptions, 'model'> & Partial<GeneratorOptions>): Promise<Generator> => {
  const options: GeneratorOptions = { adapter: null, device: 'auto', precision: 'float32', threads: 0, ...input }
  return generatorOn(await openModel(options, { writesText: true }), options)
}

/** The same on a model that is open. */
export const generatorOn = async (
  { trained, device }: OpenedModel,
  options: Pick<GeneratorOptions, 'precision' | 'threads' | 'keepsCache' | 'templateDate'>,
  openIts: OpenTextDecoder = openTextDecoder,
): Promise<Generator> => {
  const { folder, model } = trained.base
  const tokenizer = await trained.base.tokenizer()
  const [tokenizePrompt, endTokens] = [
    await promptTokens(folder, tokenizer, options.templateDate),
    await namedEosTokenIds(folder, model.vocabularySize),
  ]
  const opened = await openIts(trained, options, device)
  const decoder = options.keepsCache === true ? keepingCache(opened) : opened
  const { positions } = decoder
  const text = answerText(tokenizer, model.vocabularySize, endTokens)
  const counted = 2 * positions // a prompt that is much longer is refused without reading it all
  return {
    device: device.name,
    encode: (prompt, where = 'prompt') => {
      const ids =
        typeof prompt === 'object' && prompt !== null && 'ids' in prompt ? prompt.ids : tokenizePrompt(framed(prompt, null, where), counted)
      const other = ids.find((id) => id >= model.vocabularySize)
      if (other !== undefined) throw inputError(where, `token ids below ${model.vocabularySize}`, String(other))
      if (ids.length === 0) throw inputError(where, 'a prompt of at least one token', 'none')
      if (ids.length >= positions)
        throw inputError(
          where,
          `a prompt of at most ${positions - 1} tokens (there are ${positions} positions)`,
          ids.length < counted ? String(ids.length) : `at least ${counted}`,
        )
      return ids
    },
    answers: (prompts, settings = {}, signal) => answersTo(decoder, text, prompts, settings, signal),
    adapter: decoder.adapter,
    batch: () => answerBatch(decoder, text, true),
    score: (ids, top, signal) => scoreTokens(decoder, tokenizer, ids, top, signal),
    release: decoder.release,
  }
}

// Restores the order of prompts: the answers of a batch arrive as they end.
/** Yields each answer after those of all earlier prompts, and pieces at once. If generation ends early, yields the answers that remain. */
export async function* orderedOutput(events: AsyncIterable<AnswerEvent>): AsyncGenerator<AnswerEvent> {
  const waiting = new Map<number, AnswerEvent>()
  let next = 0
  for await (const event of events) {
    if (event.kind === 'piece') yield event
    else waiting.set(event.prompt, event)
    for (let first = waiting.get(next); first !== undefined; first = waiting.get(++next)) {
      waiting.delete(next)
      yield first
    }
  }
  for (const [, answer] of [...waiting].sort(([a], [b]) => a - b)) yield answer // an earlier prompt was aborted
}
