/** The requests and answers of /v1/chat/completions, in the shapes of OpenAI's API. */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { InputError, inputError } from '../../../../accelerated/errors/inputError.js'
import { type AnswerForm, formGrammar } from '../../../../accelerated/generation/answers.js'
import type { PromptTemplate } from '../../../data/promptTemplates.js'
import type { Prompt } from '../../../tasks/texts/prompts.js'
import type { Message } from '../../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import type { TokenLogprob } from '../../generator.js'
import type { GeneratedText, GenerationChoice } from '../protocol.js'
import { Rejection } from './limits.js'
import { finishReason, largest, listSettings, openaiRequest, samplingShape, toUsage, type Usage } from './openaiRequest.js'

const part = z.looseObject({ type: z.literal('text'), text: z.string() })
const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.union([z.string(), z.array(part).min(1)]).nullish(),
  tool_calls: z.array(z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) })).nullish(),
  tool_call_id: z.string().nullish(),
})
const schema = z.strictObject({
  ...samplingShape,
  messages: z.array(message).min(1),
  max_tokens: z.int().min(1).max(largest).optional(),
  max_completion_tokens: z.int().min(1).max(largest).optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: z.int().min(0).max(20).optional(),
  tools: z
    .array(z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }))
    .max(128)
    .optional(),
  /** none: the template sees no tools */
  tool_choice: z.enum(['none', 'auto']).optional(),
  response_format: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('text') }),
      z.strictObject({ type: z.literal('json_object') }),
      z.strictObject({
        type: z.literal('json_schema'),
        json_schema: z.strictObject({
          ...{ name: z.string().optional(), description: z.string().nullish() },
          /** an answer always fits the schema */
          strict: z.boolean().nullish(),
          schema: z.unknown(),
        }),
      }),
    ])
    .optional(),
})

/** What clients may send, since it changes no result. */
const neutral = {
  logit_bias: [{}],
  functions: [[]],
  parallel_tool_calls: [true],
  function_call: ['none', 'auto'],
  modalities: [['text']],
}

export type ChatRequest = {
  readonly model: string | undefined
  readonly messages: readonly Message[]
  /** functions that the assistant may call */
  readonly tools: readonly object[]
  /** of each answer */
  readonly settings: readonly GenerationChoice[]
  readonly stream: boolean
  readonly includeUsage: boolean
}

const where = 'the request'

/** @throws Rejection with one line, also for a parameter that would change the answer and that salora does not have */
export const chatRequest = (body: unknown): ChatRequest => {
  const given = openaiRequest(schema, body, 'a chat completion', neutral)
  if (given.top_logprobs !== undefined && given.top_logprobs > 0 && given.logprobs !== true)
    throw new Rejection(400, `${where}: top_logprobs: expected logprobs: true beside it`, null, null, 'top_logprobs')
  const each = listSettings(given.max_completion_tokens ?? given.max_tokens, given)
  const [logprobs, form] = [given.logprobs === true ? { logprobs: given.top_logprobs ?? 0 } : {}, readForm(given)]
  return {
    model: given.model,
    messages: given.messages.map(toMessage),
    tools: given.tool_choice === 'none' ? [] : (given.tools ?? []),
    settings: each.map((settings) => ({ ...settings, ...logprobs, ...(form && { form }) })),
    stream: given.stream === true,
    includeUsage: given.stream_options?.include_usage === true,
  }
}

/** What the answer must look like; undefined: any text. @throws Rejection for a schema that nothing fits, or that is not supported */
const readForm = ({ response_format: format }: z.infer<typeof schema>): AnswerForm | undefined => {
  if (format === undefined || format.type === 'text') return undefined
  const form: AnswerForm = [[{ schema: format.type === 'json_object' ? { type: 'object' } : (format.json_schema.schema ?? {}) }]]
  try {
    formGrammar(form)
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    throw new Rejection(400, thrown.message, null, null, 'response_format')
  }
  return form
}

const toMessage = ({ role, content, tool_calls: calls, tool_call_id: id }: z.infer<typeof message>): Message => {
  const isCall = role === 'assistant' && calls != null && calls.length > 0
  if (content == null && !isCall)
    throw new Rejection(400, `${where}: expected content in a message of ${role}, got none`, null, null, 'messages')
  const text = content == null ? '' : typeof content === 'string' ? content : content.map((one) => one.text).join('')
  return {
    ...{ role: role === 'developer' ? 'system' : role, content: text },
    ...(isCall ? { tool_calls: calls } : {}),
    ...(id == null ? {} : { tool_call_id: id }),
  }
}

/**
 * The prompt that a run was trained to answer: its chat template, or its template of instructions, which has room for one message.
 * @throws InputError for a conversation that the template cannot hold
 */
export const toPrompt = ({ messages, tools }: Pick<ChatRequest, 'messages' | 'tools'>, template: PromptTemplate): Prompt => {
  if (template === 'chat') return { messages, ...(tools.length > 0 ? { tools } : {}) }
  if (tools.length > 0)
    throw inputError(where, `no tools, since the run was trained on instructions (--prompt-template ${template})`, 'tools')
  const [first, ...others] = messages
  if (first?.role !== 'user' || others.length > 0)
    throw inputError(
      where,
      `one message of a user, as the run was trained on instructions (--prompt-template ${template})`,
      messages.map(({ role }) => role).join(', '),
    )
  return { template, instruction: first.content, input: '' }
}

/** One of the answers, and the tokens of the prompt. */
export type ChatAnswer = GeneratedText & { readonly promptTokens: number }

/** OpenAI's form of log-probabilities. */
const toLogprobs = (tokens: readonly TokenLogprob[] | undefined) =>
  tokens === undefined ? null : { content: tokens.map(({ top, ...token }) => ({ ...token, top_logprobs: top })), refusal: null }

/** The whole answer and its chunks, which share an id. */
export const completion = (model: string, now: () => number = () => Date.now()) => {
  const common = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(now() / 1000), model }
  const chunk = (index: number, delta: object, finish: 'stop' | 'length' | null = null, logprobs?: readonly TokenLogprob[]) => ({
    ...common,
    object: 'chat.completion.chunk' as const,
    choices: [{ index, delta, logprobs: toLogprobs(logprobs), finish_reason: finish }],
  })
  const usage = (all: readonly ChatAnswer[]): Usage =>
    toUsage(
      all[0]?.promptTokens ?? 0,
      all.reduce((sum, { tokens }) => sum + tokens, 0),
    )
  return {
    usage,
    whole: (all: readonly ChatAnswer[]) => ({
      ...common,
      object: 'chat.completion' as const,
      choices: all.map((text, index) => ({
        index,
        message: { role: 'assistant' as const, content: text.text, refusal: null },
        logprobs: toLogprobs(text.logprobs),
        finish_reason: finishReason(text.ended),
      })),
      usage: usage(all),
    }),
    first: (index: number) => chunk(index, { role: 'assistant', content: '' }),
    piece: (index: number, content: string, logprobs?: readonly TokenLogprob[]) => chunk(index, { content }, null, logprobs),
    last: (index: number, text: GeneratedText) => chunk(index, {}, finishReason(text.ended)),
    lastUsage: (all: readonly ChatAnswer[]) => ({ ...common, object: 'chat.completion.chunk' as const, choices: [], usage: usage(all) }),
  }
}
