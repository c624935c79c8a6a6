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
import { readCalls, streamedCalls, type ToolCall } from './toolCalls.js'
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
    .array(
      z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string(), parameters: z.unknown().optional() }) }),
    )
    .max(128)
    .optional(),
  /** none: the template sees no tools */
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: z.string() }) }),
    ])
    .optional(),
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
          schema: z.unknown().optional(),
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
  /** those whose calls are read from an answer */
  readonly callable: readonly string[]
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
  const tools = given.tool_choice === 'none' ? [] : (given.tools ?? [])
  return {
    model: given.model,
    messages: given.messages.map(toMessage),
    tools,
    callable: (given.response_format?.type ?? 'text') === 'text' ? tools.map((tool) => tool.function.name) : [],
    settings: each.map((settings) => ({ ...settings, ...logprobs, ...(form && { form }) })),
    stream: given.stream === true,
    includeUsage: given.stream_options?.include_usage === true,
  }
}

type Given = z.infer<typeof schema>

/** What the answer must look like; undefined: any text. @throws Rejection for a schema that nothing fits, or that is not supported */
const readForm = (given: Given): AnswerForm | undefined => {
  const format = given.response_format
  const calls = requiredCalls(given)
  const isJson = format !== undefined && format.type !== 'text'
  if (calls !== undefined && isJson) throw wrongParameter('response_format', 'expected no response_format beside a required tool, got one')
  if (calls !== undefined) return checkedForm('tools', calls)
  if (!isJson) return undefined
  return checkedForm('response_format', [
    [{ schema: format.type === 'json_object' ? { type: 'object' } : (format.json_schema.schema ?? {}) }],
  ])
}

const wrongParameter = (name: string, line: string): Rejection => new Rejection(400, `${where}: ${line}`, null, null, name)

const checkedForm = (parameter: string, form: AnswerForm): AnswerForm => {
  try {
    formGrammar(form)
    return form
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    throw new Rejection(400, thrown.message, null, null, parameter)
  }
}

/** A call of any tool, or of the one that is named; undefined: the model is free. */
const requiredCalls = ({ tool_choice: choice, tools = [] }: Given): AnswerForm | undefined => {
  if (choice === undefined || choice === 'none' || choice === 'auto') return undefined
  const wanted = tools.filter((tool) => choice === 'required' || tool.function.name === choice.function.name)
  if (wanted.length === 0)
    throw wrongParameter(
      'tool_choice',
      `tool_choice: expected one of tools, got ${choice === 'required' ? 'none' : JSON.stringify(choice.function.name)}`,
    )
  return wanted.map(({ function: { name, parameters } }) => [
    `{"name": ${JSON.stringify(name)}, "arguments": `,
    { schema: parameters ?? { type: 'object' } },
    '}',
  ])
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

const toCalls = (calls: readonly ToolCall[]) =>
  calls.map((call) => ({ id: `call_${randomUUID()}`, type: 'function' as const, function: call }))

const finish = (ended: GeneratedText['ended'], calls: readonly ToolCall[]) => (calls.length > 0 ? 'tool_calls' : finishReason(ended))

/** The whole answer and its chunks, which share an id. @param callable functions whose calls are read from an answer */
export const completion = (model: string, callable: readonly string[] = [], now: () => number = () => Date.now()) => {
  const common = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(now() / 1000), model }
  const chunk = (index: number, delta: object, reason: ReturnType<typeof finish> | null = null, logprobs?: readonly TokenLogprob[]) => ({
    ...common,
    object: 'chat.completion.chunk' as const,
    choices: [{ index, delta, logprobs: toLogprobs(logprobs), finish_reason: reason }],
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
      choices: all.map(({ text, ended, logprobs }, index) => {
        const { content, calls } = readCalls(text, callable)
        const called = calls.length > 0 ? { content: content === '' ? null : content, tool_calls: toCalls(calls) } : { content }
        return {
          ...{ index, message: { role: 'assistant' as const, refusal: null, ...called } },
          ...{ logprobs: toLogprobs(logprobs), finish_reason: finish(ended, calls) },
        }
      }),
      usage: usage(all),
    }),
    first: (index: number) => chunk(index, { role: 'assistant', content: '' }),
    /** The chunks of one answer. A call comes as one, once it is complete. */
    stream: (index: number, send: (chunk: object) => void) => {
      const text = streamedCalls(callable)
      let waiting: readonly TokenLogprob[] | undefined
      const sendDelta = (delta: object): void => {
        send(chunk(index, delta, null, waiting))
        waiting = undefined
      }
      return {
        piece: (piece: string, logprobs?: readonly TokenLogprob[]): void => {
          if (logprobs !== undefined) waiting = [...(waiting ?? []), ...logprobs]
          const content = text.push(piece)
          if (content !== '') sendDelta({ content })
        },
        last: ({ ended }: GeneratedText): void => {
          const { content, calls } = text.end()
          if (content !== '') sendDelta({ content })
          if (calls.length > 0) sendDelta({ tool_calls: toCalls(calls).map((call, i) => ({ index: i, ...call })) })
          send(chunk(index, {}, finish(ended, calls)))
        },
      }
    },
    lastUsage: (all: readonly ChatAnswer[]) => ({ ...common, object: 'chat.completion.chunk' as const, choices: [], usage: usage(all) }),
  }
}
