/** head_config.json of the adapters library, and the tensor names that follow from it: a classifier of transformers, or the library's own flexible head. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { labelName } from '../../checkpoints/labelNames.js'
import { inputError } from '../../errors/inputError.js'
import type { Model } from '../../models/architecture.js'
import type { Adapter } from '../adapter.js'
import { labelsOf } from '../modelConfig.js'
import { libraryText, ofModel } from './adapterConfig.js'

/** For a head of the model's own class. */
export const headConfigText = (adapter: Adapter): string => {
  const labels = labelsOf(adapter.outputs, adapter.labelNames)
  return libraryText({
    ...ofModel(adapter),
    config: null,
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    name: null,
    num_labels: labels.length,
  })
}

const label2id = z.record(labelName, z.int().min(0)).nullish()
const flexible = z.object({
  head_type: z.literal('classification'),
  layers: z.int(),
  use_pooler: z.boolean(),
  activation_function: z.string().max(100).nullable(),
  bias: z.literal(true).optional(),
  label2id,
})
const fileSchema = z.object({ config: flexible.nullable(), name: z.string().max(1_000).nullable(), label2id })

export type HeadConfig = {
  readonly keyOf: (name: string) => string
  /** class names, unless they are only numbers */
  readonly labelNames: ReadonlyArray<string> | undefined
}

/** @throws InputError if the head does not fit the model */
export const readHeadConfig = (json: unknown, where: string, model: Model): HeadConfig => {
  const { config, name, label2id: ids } = validate(fileSchema, json, where, 'a head as the adapters library saves it')
  return {
    keyOf: config === null ? model.naming.stored : flexibleKeys(config, name ?? '', where, model),
    labelNames: namesOf(config?.label2id ?? ids),
  }
}

/**
 * A flexible head's layers are dropout, linear, activation, dropout, linear: 1 and 4 are our two linear maps. A head of one layer on the
 * encoder's pooler has only our last map.
 */
const flexibleKeys = (
  { layers, use_pooler: onPooler, activation_function: activationFunction }: z.infer<typeof flexible>,
  head: string,
  where: string,
  { naming, sequenceHead }: Model,
): ((name: string) => string) => {
  const { tensors, activation = 'no activation' } = sequenceHead(2)
  const [first, last] = [...tensors.keys()].filter((name) => name.endsWith('.weight')).map((name) => name.replace(/weight$/, ''))
  const hasPooler = naming.stored(first ?? '').startsWith(naming.prefix)
  const places: ReadonlyArray<readonly [string | undefined, number]> =
    layers === 2 && !onPooler && activationFunction === activation
      ? [
          [first, 1],
          [last, 4],
        ]
      : layers === 1 && onPooler && hasPooler
        ? [[last, 1]]
        : []
  if (places.length === 0)
    throw inputError(
      where,
      `a head of two layers, ${activation} and no pooler${hasPooler ? ', or of one layer on the pooler' : ''}`,
      `layers ${layers}, activation_function ${activationFunction}, use_pooler ${onPooler}`,
    )
  return (name) => {
    const place = places.find(([part]) => part !== undefined && name.startsWith(part))
    return place === undefined ? naming.stored(name) : `heads.${head}.${place[1]}.${name.slice(place[0]?.length)}`
  }
}

/** undefined if an output has none, or if they are the default names of transformers. */
const namesOf = (ids: Readonly<Record<string, number>> | null | undefined): ReadonlyArray<string> | undefined => {
  const inOrder = Object.entries(ids ?? {}).sort(([, a], [, b]) => a - b)
  const named = inOrder.every(([, id], i) => id === i) && inOrder.some(([name], i) => name !== `LABEL_${i}`)
  return named ? inOrder.map(([name]) => name) : undefined
}
