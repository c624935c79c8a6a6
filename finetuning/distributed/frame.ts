/** A value in Redis: a JSON header, then numbers as bytes. Anyone who can write to Redis may have written it, so both are validated. */
import { z } from 'zod'
import { inputError } from '../../accelerated/errors/inputError.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'

/** Bytes of a header at most: the phase of a thousand matrices, or what a step reports of them. */
const headerLimit = 16_000_000

const lengthBytes = 4

export const toFrame = (header: object, body: Uint8Array): Buffer => {
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(lengthBytes)
  length.writeUInt32LE(text.length)
  return Buffer.concat([length, text, body])
}

/** @param where names the value in messages @throws InputError */
export const fromFrame = <T>(
  frame: Buffer,
  schema: z.ZodType<T>,
  where: string,
  what: string,
): { readonly header: T; readonly body: Buffer } => {
  const length = frame.length < lengthBytes ? Infinity : frame.readUInt32LE()
  if (length > Math.min(headerLimit, frame.length - lengthBytes)) throw inputError(where, what, `${frame.length} bytes of another form`)
  const header = validate(schema, parseJson(frame.toString('utf8', lengthBytes, lengthBytes + length), where), where, what)
  return { header, body: frame.subarray(lengthBytes + length) }
}

const count = z.int().min(0)
const name = z.string().max(200)

/** What parts are: gradients of the batches of a step, replicas' parts of a round, or answers to the batches of an evaluation. */
export const works = ['gradients', 'rounds', 'answers'] as const
export type Work = (typeof works)[number]

/** A step or an evaluation whose parts wait to be computed. */
export const stepHeader = z.strictObject({
  /** names the step and the process that published it */
  token: name,
  work: z.enum(works),
  step: count,
  phase: z.unknown(),
  /** steps done, and steps of the run by which its method planned */
  progress: z.strictObject({ step: count, steps: count }),
  parts: z.int().min(1).max(100_000),
  /** trained numbers */
  size: count,
  exchange: z.enum(['float32', 'float16']),
  /** milliseconds that a worker has for a part */
  lease: z.number().min(1),
})
export type StepHeader = z.infer<typeof stepHeader>

/** A gradient, or what a replica's part of a round changed. Of an evaluation: the outputs of a batch, with their sizes as `results`. */
export const gradientHeader = z.strictObject({
  worker: name,
  tokens: count,
  seconds: z.number().min(0),
  /** what the graph reports; null for a number that is not finite */
  results: z.record(z.string().max(10_000), z.array(z.number().nullable()).max(1_000_000)),
})
export type GradientHeader = z.infer<typeof gradientHeader>
