/**
 * What travels through Redis: a signature, a JSON header and numbers. The header tells the run, the step and the part; the run's id is the digest of
 * its setup. Anyone who can write to Redis may have written a frame, so all of it is checked.
 */
import { createHash, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { z } from 'zod'
import { inputError } from '../../accelerated/errors/inputError.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'

/** Bytes of a header at most: the phase of a thousand matrices, or what a step reports of them. */
const headerLimit = 16_000_000

/** Bytes of an Ed25519 signature, and of the header's length after it. */
const [signatureBytes, lengthBytes] = [64, 4]

/** The key pair of a leader or of a worker, made anew by each process. Its private half never leaves the process. */
export type Signer = {
  /** the public key: DER in base64 */
  readonly key: string
  /** @returns 64 bytes */
  readonly sign: (content: Uint8Array) => Buffer
}

export const newSigner = (): Signer => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  return {
    key: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    sign: (content) => sign(null, digest(content), privateKey),
  }
}

const digest = (content: Uint8Array): Buffer => createHash('sha256').update(content).digest()

const isSigned = (key: string, content: Uint8Array, signature: Uint8Array): boolean => {
  try {
    const publicKey = createPublicKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'spki' })
    return publicKey.asymmetricKeyType === 'ed25519' && verify(null, digest(content), publicKey, signature)
  } catch {
    return false // no key
  }
}

export const toFrame = (header: object, body: Uint8Array, signer: Signer): Buffer => {
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(lengthBytes)
  length.writeUInt32LE(text.length)
  const frame = Buffer.concat([Buffer.alloc(signatureBytes), length, text, body])
  signer.sign(frame.subarray(signatureBytes)).copy(frame)
  return frame
}

export type FrameForm<T> = {
  readonly schema: z.ZodType<T>
  /** the public key that must have signed the frame */
  readonly findKey: (header: T) => string
  /** name the value in messages */
  readonly where: string
  readonly what: string
}

/** @throws InputError for bytes of another form, or that nobody signed with this key */
export const fromFrame = <T>(
  frame: Buffer,
  { schema, findKey, where, what }: FrameForm<T>,
): { readonly header: T; readonly body: Buffer } => {
  const content = frame.subarray(signatureBytes)
  const length = content.length < lengthBytes ? Infinity : content.readUInt32LE()
  if (length > Math.min(headerLimit, content.length - lengthBytes)) throw inputError(where, what, `${frame.length} bytes of another form`)
  const header = validate(schema, parseJson(content.toString('utf8', lengthBytes, lengthBytes + length), where), where, what)
  if (!isSigned(findKey(header), content, frame.subarray(0, signatureBytes)))
    throw inputError(where, `${what} as its sender signed it`, 'an altered one')
  return { header, body: content.subarray(lengthBytes + length) }
}

const count = z.int().min(0)
const name = z.string().max(200)

/** What parts are: gradients of the batches of a step, or answers to the batches of an evaluation. */
export const works = ['gradients', 'answers'] as const
export type Work = (typeof works)[number]

/** A step or an evaluation whose parts wait to be computed. */
export const stepHeader = z.strictObject({
  /** the run's id */
  run: name,
  /** numbers what the leader publishes */
  token: name,
  work: z.enum(works),
  step: count,
  phase: z.unknown(),
  /** steps done, and steps of the run by which its method planned */
  progress: z.strictObject({ step: count, steps: count }),
  /** trained numbers */
  size: count,
  exchange: z.enum(['float32', 'float16']),
})
export type StepHeader = z.infer<typeof stepHeader>

/** A gradient; or the outputs of a batch of an evaluation, with their sizes as `results`. */
export const partHeader = z.strictObject({
  run: name,
  token: name,
  part: count,
  /** the worker's public key, and its name for messages */
  key: name,
  worker: name,
  tokens: count,
  /** from the start of its computation until the leader can have it */
  seconds: z.number().min(0),
  /** what the graph reports; null for a number that is not finite */
  results: z.record(z.string().max(10_000), z.array(z.number().nullable()).max(1_000_000)),
})
export type PartHeader = z.infer<typeof partHeader>

/** The job of a part in the queue of its run. */
export const partJob = z.strictObject({ token: name, part: count })
export type PartJob = z.infer<typeof partJob>
