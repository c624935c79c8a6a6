/** head_config.json of the adapters library, and what it says of the keys beside it: a classifier of transformers, or a flexible head of the library's own. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { labelName } from '../../checkpoints/labelNames.js'
import { inputError } from '../../errors/inputError.js'
import type { Model } from '../../models/architecture.js'
import type { Adapter } from '../adapter.js'
import { labelsOf } from '../modelFiles.js'
import { libraryText, ofModel } from './adapterConfig.js'

/** That of the model's own class. */
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
  /** names of the classes, where they are more than numbers */
  readonly labelNames: ReadonlyArray<string> | undefined
}

/** @throws Mistake for a head that is not the model's */
export const readHeadConfig = (json: unknown, where: string, model: Model): HeadConfig => {
  const { config, name, label2id: ids } = validate(fileSchema, json, where, 'a head as the adapters library saves it')
  return {
    keyOf: config === null ? model.naming.stored : flexibleKeys(config, name ?? '', where, model),
    labelNames: namesOf(config?.label2id ?? ids),
  }
}

/**
 * A flexible head's layers are dropout, linear, activation, dropout, linear: 1 and 4 are our two linear maps. On the encoder's pooler
 * stands a head of one layer, whose map is our last.
 */
const flexibleKeys = (
  { layers, use_pooler: onPooler, activation_function: found }: z.infer<typeof flexible>,
  head: string,
  where: string,
  { naming, sequenceHead }: Model,
): ((name: string) => string) => {
  const { tensors, activation = 'no activation' } = sequenceHead(2)
  const [first, last] = [...tensors.keys()].filter((name) => name.endsWith('.weight')).map((name) => name.replace(/weight$/, ''))
  const hasPooler = naming.stored(first ?? '').startsWith(naming.prefix)
  const places: ReadonlyArray<readonly [string | undefined, number]> =
    layers === 2 && !onPooler && found === activation
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
      `layers ${layers}, activation_function ${found}, use_pooler ${onPooler}`,
    )
  return (name) => {
    const place = places.find(([part]) => part !== undefined && name.startsWith(part))
    return place === undefined ? naming.stored(name) : `heads.${head}.${place[1]}.${name.slice(place[0]?.length)}`
  }
}

/** undefined where there is none for an output, or where they are those that transformers gives to outputs without names. */
const namesOf = (ids: Readonly<Record<string, number>> | null | undefined): ReadonlyArray<string> | undefined => {
  const inOrder = Object.entries(ids ?? {}).sort(([, a], [, b]) => a - b)
  const named = inOrder.every(([, id], i) => id === i) && inOrder.some(([name], i) => name !== `LABEL_${i}`)
  return named ? inOrder.map(([name]) => name) : undefined
}
