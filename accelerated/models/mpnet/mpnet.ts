/** MPNet (Song et al., 2020): RoBERTa's encoder under other names, without token types, and with a bias of the scores by distance. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import type { Expression } from '../../graph/expression.js'
import { add, cast, constant, gather, reshape, sub, transpose } from '../../graph/operators.js'
import type { Architecture, Model } from '../architecture.js'
import type { BatchInputs } from '../batchInputs.js'
import { encoderModel } from '../bert/bert.js'
import { encoderConfig, size, type EncoderConfig } from '../bert/config.js'
import { encoderNaming, type EncoderNames } from '../bert/spec.js'
import type { Host } from '../host.js'
import { countPositions } from '../layers/attention.js'

const schema = z.object({ model_type: z.literal('mpnet'), relative_attention_num_buckets: size(65_536).default(32) })

const names: EncoderNames = {
  layer: (i) => `encoder.layer.${i}`,
  within: (at) => ({
    query: `${at}.attention.attn.q`,
    key: `${at}.attention.attn.k`,
    value: `${at}.attention.attn.v`,
    attentionOutput: `${at}.attention.attn.o`,
    attentionNorm: `${at}.attention.LayerNorm`,
    up: `${at}.intermediate.dense`,
    down: `${at}.output.dense`,
    feedForwardNorm: `${at}.output.LayerNorm`,
    attention: `${at}.attention`,
    feedForward: `${at}.output`,
  }),
}

const biasTable = 'encoder.relative_attention_bias.weight'

/** All distances beyond it share a row. */
const farthest = 128

/**
 * The row of the table for a key `distance` positions after its query. Each side has half of the rows; half of these are for single distances, the
 * others for logarithmic ranges. Computed in float32 and truncated, as in the original.
 */
export const distanceBucket = (distance: number, buckets: number): number => {
  const side = Math.floor(buckets / 2)
  const [exact, n] = [Math.floor(side / 2), Math.abs(distance)]
  const f = Math.fround
  const far = (): number => exact + Math.trunc(f(f(f(Math.log(f(n / exact))) / f(Math.log(farthest / exact))) * (side - exact)))
  return (distance > 0 ? side : 0) + (n < exact ? n : Math.min(far(), side - 1))
}

/** The bias of the scores by distance: [batch, heads, sequence, sequence] */
const distanceBias = (
  host: Pick<Host, 'tensor'>,
  batch: Pick<BatchInputs, 'attentionBias'>,
  buckets: number,
  longest: number,
): Expression => {
  const { query, key } = countPositions(batch)
  const rows = Array.from({ length: 2 * longest + 1 }, (_, i) => distanceBucket(i - longest, buckets))
  const distance = sub(key, query) // [batch, 1, sequence, sequence]
  const bucket = gather(constant(rows, [rows.length], 'int32'), cast(add(distance, longest), 'int32'))
  const [batchSize = 1, , queries = 1, keys = 1] = bucket.shape
  const table = host.tensor(biasTable)
  const [, heads = 1] = table.shape
  const biases = gather(table, reshape(bucket, [batchSize, queries, keys])) // [batch, sequence, sequence, heads]
  return transpose(reshape(biases, [batchSize, queries, keys, heads]), [0, 3, 1, 2])
}

const mpnetModel = (config: EncoderConfig, buckets: number): Model => {
  const { maskedHead: _, ...encoder } = encoderModel(config, names, (host, batch) =>
    distanceBias(host, batch, buckets, config.maxPositions),
  )
  return {
    ...encoder,
    type: 'mpnet',
    spec: {
      ...encoder.spec,
      supportedHooks: ['embedded'], // transformers gives it no past keys and values, and the adapters library does not know it
      tensors: new Map([...encoder.spec.tensors, [biasTable, [buckets, config.heads]]]),
    },
    naming: encoderNaming('mpnet', 'MPNet'),
    withDropout: (p) => mpnetModel({ ...config, hiddenDropout: p, attentionDropout: p, headDropout: p }, buckets),
  }
}

export const mpnetArchitecture: Architecture = {
  modelTypes: ['mpnet'],
  open: (json, where) => {
    const { relative_attention_num_buckets: buckets } = validate(schema, json, where, 'an encoder')
    // the padding token is 1, whatever the file says
    const config = encoderConfig({ ...json, model_type: 'roberta', pad_token_id: 1, type_vocab_size: 1 }, where)
    return mpnetModel({ ...config, tokenTypes: 0 }, buckets)
  },
  gguf: null,
}
