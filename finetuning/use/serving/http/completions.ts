/** The requests and answers of /v1/completions, in the shapes of OpenAI's API. */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { GeneratedText, GenerationChoice, Scores, ServedPrompt } from '../protocol.js'
import type { TokenScore } from '../../generator.js'
import type { GenerationListener, ServedRun } from '../openRuns.js'
import { now } from './adapters.js'
import { Rejection } from './limits.js'
import { finishReason, largest, openaiRequest, samplingShape, listSettings, toUsage } from './openaiRequest.js'

const ids = z.array(z.int().min(0)).min(1).max(largest)

const schema = z.strictObject({
  ...samplingShape,
  prompt: z.union([z.string(), ids, z.array(z.string()).min(1), z.array(ids).min(1)]),
  max_tokens: z.int().min(0).max(largest).default(16),
  echo: z.boolean().default(false),
  /** how many of the likeliest tokens in each token's place */
  logprobs: z.int().min(0).max(20).optional(),
})

const neutral = { best_of: [1], suffix: [''], logit_bias: [{}] }

/** One text to write. */
type Choice = {
  readonly prompt: ServedPrompt
  readonly settings: GenerationChoice
  readonly echo: boolean
  /** of log-probabilities; null: none */
  readonly top: number | null
}

export type CompletionRequest = {
  readonly model: string | undefined
  /** `n` of each prompt */
  readonly choices: readonly Choice[]
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly n: number
}

/** @throws Rejection with one line */
export const completionRequest = (body: unknown): CompletionRequest => {
  const given = openaiRequest(schema, body, 'a completion', neutral)
  const { prompt, n, echo, logprobs, max_tokens: maxTokens, stream = false } = given
  if (stream && logprobs !== undefined)
    throw new Rejection(400, 'the request: logprobs is not supported with stream', null, 'unsupported_parameter', 'logprobs')
  const each = listSettings(maxTokens, given)
  return {
    ...{ model: given.model, stream, n, includeUsage: given.stream_options?.include_usage === true },
    choices: listPrompts(prompt).flatMap((one) => each.map((settings) => ({ prompt: one, echo, top: logprobs ?? null, settings }))),
  }
}

const listPrompts = (prompt: z.infer<typeof schema>['prompt']): readonly ServedPrompt[] => {
  if (typeof prompt === 'string') return [{ text: prompt }]
  if (prompt.every((one) => typeof one === 'number')) return [{ ids: prompt }]
  return (prompt as readonly (string | readonly number[])[]).map((one) => (typeof one === 'string' ? { text: one } : { ids: one }))
}

/** text: with the prompt if it is echoed · scores: of the tokens in `text` */
export type Completed = Pick<GeneratedText, 'tokens' | 'ended'> & {
  readonly text: string
  readonly promptTokens: number
  readonly scores: readonly TokenScore[] | null
}

const nothing: GeneratedText = { text: '', tokens: 0, ended: 'length', ids: [] }

/** Generates one completion, with the log-probabilities that the request asks for. The echoed prompt reaches the listener as a piece of its own. */
export const complete = async (
  run: Pick<ServedRun, 'generate' | 'score'>,
  { prompt, settings, echo, top }: Choice,
  { onPiece, onStart }: GenerationListener,
  signal: AbortSignal,
): Promise<Completed> => {
  const writes = settings.maxNewTokens !== 0
  const score = (after: readonly number[]) => run.score({ prompt, after, top: top ?? 0 }, signal)
  const echoesIds = echo && 'ids' in prompt
  // the text of token ids comes with their scores, and a stream, which has no log-probabilities, begins with it
  const first = !writes || (echoesIds && top === null) ? await score([]) : null
  let [promptTokens, echoed] = [0, !echo ? '' : 'text' in prompt ? prompt.text : first === null ? '' : promptText(first)]
  const listener = {
    onPiece,
    onStart: (tokens: number) => {
      promptTokens = tokens
      onStart?.(tokens)
      if (echoed !== '') onPiece(echoed)
    },
  }
  const generated = writes ? await run.generate(prompt, settings, listener, signal) : nothing
  if (!writes) listener.onStart(first?.promptTokens ?? 0)
  const scored = top === null ? null : (first ?? (await score(generated.ids)))
  if (echoesIds && scored !== null) echoed = promptText(scored)
  return {
    ...{ tokens: generated.tokens, ended: generated.ended, promptTokens },
    text: echoed + generated.text,
    scores: scored?.tokens.slice(echo ? 0 : scored.promptTokens) ?? null,
  }
}

/** A special token has a name, and no text. */
const promptText = ({ tokens, promptTokens }: Scores): string =>
  tokens
    .slice(0, promptTokens)
    .map(({ text, isSpecial }) => (isSpecial ? '' : text))
    .join('')

/** OpenAI's first form of log-probabilities. */
const toLogprobs = (scores: readonly TokenScore[]) => {
  let offset = 0
  const offsets = scores.map(({ text, isSpecial }) => {
    const start = offset
    offset += isSpecial ? 0 : text.length
    return start
  })
  return {
    tokens: scores.map(({ text }) => text),
    token_logprobs: scores.map(({ logProbability }) => logProbability),
    top_logprobs: scores.map(({ text, logProbability, top }) =>
      // the best of tokens with the same text, and always the token itself
      logProbability === null
        ? null
        : Object.fromEntries(
            [[text, logProbability] as const, ...top.map((one) => [one.text, one.logProbability] as const)].sort(([, a], [, b]) => a - b),
          ),
    ),
    text_offset: offsets,
  }
}

/** The whole answer and its chunks, which share an id. @param n choices of each prompt */
export const completionAnswer = (model: string, n: number) => {
  const common = { id: `cmpl-${randomUUID()}`, object: 'text_completion' as const, created: now(), model }
  const choice = (index: number, text: string, finish: 'stop' | 'length' | null, logprobs: object | null = null) => ({
    ...{ text, index, logprobs, finish_reason: finish },
  })
  const usage = (all: readonly Completed[]) =>
    toUsage(
      all.reduce((sum, { promptTokens }, i) => sum + (i % n === 0 ? promptTokens : 0), 0),
      all.reduce((sum, { tokens }) => sum + tokens, 0),
    )
  return {
    usage,
    whole: (all: readonly Completed[]) => ({
      ...common,
      choices: all.map(({ text, ended, scores }, i) => choice(i, text, finishReason(ended), scores === null ? null : toLogprobs(scores))),
      usage: usage(all),
    }),
    piece: (index: number, text: string) => ({ ...common, choices: [choice(index, text, null)] }),
    last: (index: number, { ended }: Completed) => ({ ...common, choices: [choice(index, '', finishReason(ended))] }),
    lastUsage: (all: readonly Completed[]) => ({ ...common, choices: [], usage: usage(all) }),
  }
}
