/** The requests and answers of /v1/chat/completions, in the shapes of OpenAI's API. */
import { randomInt, randomUUID } from 'node:crypto'
import { z } from 'zod'
import { inputError } from '../../../../accelerated/errors/inputError.js'
import { validate } from '../../../../accelerated/errors/validate.js'
import type { PromptTemplate } from '../../../data/promptTemplates.js'
import type { Prompt } from '../../../tasks/texts/prompts.js'
import type { GeneratedText, GenerationChoice } from '../protocol.js'

const part = z.looseObject({ type: z.literal('text'), text: z.string() })
const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(part).min(1)]),
})
/** Values that change no result, so that clients may send them. */
const only = <const T extends z.core.util.Literal>(value: T) => z.literal(value).optional()
const none = z.tuple([], 'an empty list').optional()

/** The bound of generation's own settings, whose errors have other names. */
const largest = 1_000_000

const schema = z.strictObject({
  model: z.string().optional(),
  messages: z.array(message).min(1),
  max_tokens: z.int().min(1).max(largest).optional(),
  max_completion_tokens: z.int().min(1).max(largest).optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().gt(0).max(1).optional(),
  top_k: z.int().min(1).optional(),
  repetition_penalty: z.number().gt(0).max(largest).optional(),
  seed: z.int().min(0).optional(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(4)]).optional(),
  stream: z.boolean().optional(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() }).optional(),
  n: only(1),
  frequency_penalty: only(0),
  presence_penalty: only(0),
  logprobs: only(false),
  top_logprobs: only(0),
  logit_bias: z.strictObject({}).optional(),
  tools: none,
  functions: none,
  tool_choice: z.enum(['none', 'auto']).optional(),
  function_call: z.enum(['none', 'auto']).optional(),
  parallel_tool_calls: z.boolean().optional(),
  modalities: z.tuple([z.literal('text')]).optional(),
  response_format: z.strictObject({ type: z.literal('text') }).optional(),
  user: z.string().optional(),
  safety_identifier: z.string().optional(),
  prompt_cache_key: z.string().optional(),
  service_tier: z.string().optional(),
  metadata: z.looseObject({}).optional(),
  store: z.boolean().optional(),
})

export type ChatRequest = {
  readonly model: string | undefined
  readonly messages: readonly { readonly role: string; readonly content: string }[]
  readonly settings: GenerationChoice
  readonly stream: boolean
  readonly includeUsage: boolean
}

const where = 'the request'

/** OpenAI's API has null for a parameter that is not given, whichever it is. */
const withoutNulls = (body: unknown): unknown =>
  typeof body !== 'object' || body === null || Array.isArray(body)
    ? body
    : Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))

/** @throws InputError with one line, also for a parameter that would change the answer and that salora does not have */
export const chatRequest = (body: unknown): ChatRequest => {
  const given = validate(schema, withoutNulls(body), where, 'a chat completion')
  const { max_tokens, max_completion_tokens, temperature, top_p, top_k, repetition_penalty, seed, stop } = given
  const samples = (temperature ?? 0) > 0 || (temperature == null && ((top_p ?? 1) < 1 || top_k != null))
  const settings = {
    maxNewTokens: max_completion_tokens ?? max_tokens,
    temperature,
    ...(samples ? { topP: top_p, topK: top_k } : {}), // greedy decoding has no use for them
    repetitionPenalty: repetition_penalty,
    seed: seed ?? (samples ? randomInt(2 ** 32) : undefined), // the same request twice draws twice
    stop: typeof stop === 'string' ? [stop] : stop,
  }
  return {
    model: given.model,
    messages: given.messages.map(({ role, content }) => ({
      role: role === 'developer' ? 'system' : role,
      content: typeof content === 'string' ? content : content.map(({ text }) => text).join(''),
    })),
    settings: Object.fromEntries(Object.entries(settings).filter(([, value]) => value != null)),
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

export type Usage = { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number }

export const countUsage = (promptTokens: number, { tokens }: Pick<GeneratedText, 'tokens'>): Usage => ({
  prompt_tokens: promptTokens,
  completion_tokens: tokens,
  total_tokens: promptTokens + tokens,
})

const finishReason = ({ ended }: Pick<GeneratedText, 'ended'>): 'stop' | 'length' => (ended === 'length' ? 'length' : 'stop')

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
          finish_reason: finishReason(text),
        },
      ],
      usage: countUsage(promptTokens, text),
    }),
    first: () => chunk({ role: 'assistant', content: '' }),
    piece: (content: string) => chunk({ content }),
    last: (text: GeneratedText) => chunk({}, finishReason(text)),
    usage: (usage: Usage) => ({ ...common, object: 'chat.completion.chunk' as const, choices: [], usage }),
  }
}
