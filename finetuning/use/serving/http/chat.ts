/** The requests and answers of /v1/chat/completions, in the shapes of OpenAI's API. */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { inputError } from '../../../../accelerated/errors/inputError.js'
import type { PromptTemplate } from '../../../data/promptTemplates.js'
import type { Prompt } from '../../../tasks/texts/prompts.js'
import type { GeneratedText, GenerationChoice } from '../protocol.js'
import { finishReason, largest, openaiRequest, samplingShape, toSettings, toUsage, type Usage } from './openaiRequest.js'

const part = z.looseObject({ type: z.literal('text'), text: z.string() })
const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(part).min(1)]),
})
const schema = z.strictObject({
  ...samplingShape,
  messages: z.array(message).min(1),
  max_tokens: z.int().min(1).max(largest).optional(),
  max_completion_tokens: z.int().min(1).max(largest).optional(),
  parallel_tool_calls: z.boolean().optional(),
})

/** What clients may send, since it changes no result. */
const neutral = {
  n: [1],
  frequency_penalty: [0],
  presence_penalty: [0],
  logprobs: [false],
  top_logprobs: [0],
  logit_bias: [{}],
  tools: [[]],
  functions: [[]],
  tool_choice: ['none', 'auto'],
  function_call: ['none', 'auto'],
  modalities: [['text']],
  response_format: [{ type: 'text' }],
}

export type ChatRequest = {
  readonly model: string | undefined
  readonly messages: readonly { readonly role: string; readonly content: string }[]
  readonly settings: GenerationChoice
  readonly stream: boolean
  readonly includeUsage: boolean
}

const where = 'the request'

/** @throws Rejection with one line, also for a parameter that would change the answer and that salora does not have */
export const chatRequest = (body: unknown): ChatRequest => {
  const given = openaiRequest(schema, body, 'a chat completion', neutral)
  return {
    model: given.model,
    messages: given.messages.map(({ role, content }) => ({
      role: role === 'developer' ? 'system' : role,
      content: typeof content === 'string' ? content : content.map(({ text }) => text).join(''),
    })),
    settings: toSettings(given.max_completion_tokens ?? given.max_tokens, given),
    stream: given.stream === true,
    includeUsage: given.stream_options?.include_usage === true,
  }
}

/**
 * The prompt that a run was trained to answer: its chat template, or its template of instructions, which has room for one message.
 * @throws InputError for a conversation that the template cannot hold
 */
export const toPrompt = (messages: ChatRequest['messages'], template: PromptTemplate): Prompt => {
  if (template === 'chat') return { messages }
  const [first, ...others] = messages
  if (first?.role !== 'user' || others.length > 0)
    throw inputError(
      where,
      `one message of a user, as the run was trained on instructions (--prompt-template ${template})`,
      messages.map(({ role }) => role).join(', '),
    )
  return { template, instruction: first.content, input: '' }
}

/** The whole answer and its chunks, which share an id. */
export const completion = (model: string, now: () => number = () => Date.now()) => {
  const common = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(now() / 1000), model }
  const chunk = (delta: object, finish: 'stop' | 'length' | null = null) => ({
    ...common,
    object: 'chat.completion.chunk' as const,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  })
  return {
    whole: (text: GeneratedText, promptTokens: number) => ({
      ...common,
      object: 'chat.completion' as const,
      choices: [
        {
          index: 0,
          message: { role: 'assistant' as const, content: text.text, refusal: null },
          logprobs: null,
          finish_reason: finishReason(text.ended),
        },
      ],
      usage: toUsage(promptTokens, text.tokens),
    }),
    first: () => chunk({ role: 'assistant', content: '' }),
    piece: (content: string) => chunk({ content }),
    last: (text: GeneratedText) => chunk({}, finishReason(text.ended)),
    usage: (usage: Usage) => ({ ...common, object: 'chat.completion.chunk' as const, choices: [], usage }),
  }
}
