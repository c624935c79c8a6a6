/** Requests and responses of /v1/embeddings, in the shape of OpenAI's API: embeddings as numbers, or as float32 in base64. */
import { z } from 'zod'
import { inputError } from '../../../../accelerated/errors/inputError.js'
import type { Text } from '../../../tasks/taskType.js'
import { shortenVector } from '../../../tasks/embeddings/metrics.js'
import { toText } from '../openRun.js'
import { openaiRequest } from './openaiRequest.js'

const where = 'the request'

const request = z.strictObject({
  input: z.union([z.string(), z.array(z.string()).min(1)]),
  model: z.string().optional(),
  /** the first numbers of each vector, again of length 1 */
  dimensions: z.int().min(1).optional(),
  encoding_format: z.enum(['float', 'base64']).default('float'),
})

export type EmbeddingsRequest = {
  readonly model: string | undefined
  readonly texts: readonly Text[]
  /** The body of the answer. @param vectors of the texts, in their order @param tokens that were read */
  readonly answer: (model: string, vectors: readonly (readonly number[])[], tokens: number) => object
}

/** @throws InputError with one line */
export const embeddingsRequest = (body: unknown): EmbeddingsRequest => {
  const { input, model, dimensions, encoding_format: format } = openaiRequest(request, body, 'an object with "input", one text or several')
  const texts = (typeof input === 'string' ? [input] : input).map((text) => toText(text, { text: 'text' }, where))
  const encode = (vector: readonly number[]) => (format === 'float' ? vector : toBase64(vector))
  const cut = (vector: readonly number[]): readonly number[] => {
    if (dimensions === undefined) return vector
    if (dimensions > vector.length) throw inputError(where, `"dimensions" of at most ${vector.length}`, String(dimensions))
    return shortenVector(vector, dimensions)
  }
  return {
    model,
    texts,
    answer: (name, vectors, tokens) => ({
      object: 'list',
      data: vectors.map((vector, index) => ({ object: 'embedding', index, embedding: encode(cut(vector)) })),
      model: name,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    }),
  }
}

/** Little-endian float32, as OpenAI's client reads it. */
const toBase64 = (vector: readonly number[]): string => {
  const bytes = Buffer.alloc(4 * vector.length)
  vector.forEach((x, i) => bytes.writeFloatLE(x, 4 * i))
  return bytes.toString('base64')
}
