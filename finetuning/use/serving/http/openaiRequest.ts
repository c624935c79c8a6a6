/** Bodies of OpenAI's API: null counts as absent, and an error names the parameter, also one that salora does not support. */
import { randomInt } from 'node:crypto'
import { z } from 'zod'
import { InputError } from '../../../../accelerated/errors/inputError.js'
import { validate } from '../../../../accelerated/errors/validate.js'
import type { GenerationChoice } from '../protocol.js'
import { Rejection } from './limits.js'

const where = 'the request'

/** The bound of generation's own settings, whose errors have other names. */
export const largest = 1_000_000

/** Who asks, and what OpenAI does with it: none changes a result. */
const ignored = ['user', 'safety_identifier', 'prompt_cache_key', 'service_tier', 'metadata', 'store']

/**
 * @param neutral by name, the values of a parameter that salora does not support but that change no result
 * @throws Rejection with one line for the first error
 */
export const openaiRequest = <T>(
  schema: z.ZodType<T>,
  body: unknown,
  what: string,
  neutral: Readonly<Record<string, readonly unknown[]>> = {},
): T => {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return validate(schema, body, where, what)
  const isNeutral = (name: string, value: unknown): boolean =>
    value === null || ignored.includes(name) || (Object.hasOwn(neutral, name) && neutral[name]?.some((one) => isSame(one, value)) === true)
  const given = Object.fromEntries(Object.entries(body).filter(([name, value]) => !isNeutral(name, value)))
  const issue = schema.safeParse(given).error?.issues[0]
  const unknown = issue?.code === 'unrecognized_keys' && issue.path.length === 0 ? issue.keys[0] : undefined
  if (unknown !== undefined)
    throw new Rejection(400, `${where}: ${unknown.slice(0, 80)} is not supported`, null, 'unsupported_parameter', unknown.slice(0, 80))
  try {
    return validate(schema, given, where, what)
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    throw new Rejection(400, thrown.message, null, null, issue?.path[0] === undefined ? null : String(issue.path[0]))
  }
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** What chat and plain completions have in common. */
export const samplingShape = {
  model: z.string().optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().gt(0).max(1).optional(),
  top_k: z.int().min(1).optional(),
  repetition_penalty: z.number().gt(0).max(largest).optional(),
  seed: z.int().min(0).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  logit_bias: z
    .record(z.string().regex(/^\d{1,9}$/, 'a token id'), z.number().min(-100).max(100))
    .refine((bias) => Object.keys(bias).length <= 1_000, 'at most 1000 tokens')
    .optional(),
  n: z.int().min(1).max(128).default(1),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(4)]).optional(),
  stream: z.boolean().optional(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() }).optional(),
} as const

type Sampling = z.infer<z.ZodObject<typeof samplingShape>>

/** The settings of generation that a request gives. */
const toSettings = (maxNewTokens: number | undefined, given: Omit<Sampling, 'n'>): GenerationChoice => {
  const { temperature, top_p: topP, top_k: topK, repetition_penalty: repetitionPenalty, seed, stop } = given
  const samples = (temperature ?? 0) > 0 || (temperature === undefined && ((topP ?? 1) < 1 || topK !== undefined))
  const settings = {
    ...{ maxNewTokens, temperature, repetitionPenalty },
    ...{ presencePenalty: given.presence_penalty, frequencyPenalty: given.frequency_penalty, logitBias: given.logit_bias },
    ...(samples ? { topP, topK } : {}), // greedy decoding has no use for them
    seed: seed ?? (samples ? randomInt(2 ** 32) : undefined), // the same request twice draws twice
    stop: typeof stop === 'string' ? [stop] : stop,
  }
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

/** The settings of each of `n` answers, which draw with seeds in a row. */
export const listSettings = (maxNewTokens: number | undefined, { n, ...given }: Sampling): readonly GenerationChoice[] => {
  const settings = toSettings(maxNewTokens, given)
  const { seed } = settings
  return Array.from({ length: n }, (_, i) => (seed === undefined ? settings : { ...settings, seed: seed + i }))
}

export type Usage = { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number }

export const toUsage = (promptTokens: number, completionTokens: number): Usage => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
})

export const finishReason = (ended: 'end' | 'stop' | 'length' | 'aborted'): 'stop' | 'length' => (ended === 'length' ? 'length' : 'stop')
