/** A checkpoint's config.json: the model it describes by the architecture of its model_type, its classes, and what it says of a sequence classifier's outputs. */
import { z } from 'zod'
import type { Model } from '../models/architecture.js'
import { architectures } from '../models/index.js'
import { bareClassName, causalOutputs, problemTypes, type ModelOutputs } from '../models/modelOutputs.js'
import { validate } from '../errors/validate.js'
import { inputError, quoted, formatValue } from '../errors/inputError.js'
import { nearest } from '../errors/nearest.js'
import { parseJson } from '../storage/json.js'
import { labelName } from './labelNames.js'

const schema = z.object({
  num_labels: z.int().min(1).max(1_000_000).optional(),
  id2label: z.record(z.string(), labelName).optional(),
  problem_type: z.enum(problemTypes).nullish(),
  _name_or_path: z.string().max(10_000).optional(),
  architectures: z.array(z.string().max(1_000)).max(100).nullish(),
})

export type ConfigFile = {
  readonly model: Model
  /** whether the files are an encoder without a class of transformers for its head */
  readonly isBare: boolean
  /** The number of labels is num_labels, else the length of id2label, else 2. One output of a sequence head is a regression. */
  readonly outputs: ModelOutputs
  /** the names of id2label in the order of the outputs; undefined if it has none */
  readonly labelNames: readonly string[] | undefined
}

/**
 * Parses the text of a config.json. `where` is the file's name in messages.
 * @throws InputError for text that is not JSON, another model_type, a key that is missing or out of bounds, or sizes that contradict each other
 */
export const parseConfigFile = (text: string, where: string): ConfigFile => {
  const json = parseJson(text, where)
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw inputError(where, 'a JSON object', formatValue(json))
  const type = 'model_type' in json ? json.model_type : undefined
  const architecture = architectures.find(({ modelTypes }) => modelTypes.some((known) => known === type))
  if (architecture === undefined) {
    const instead = architectures.find(({ unread }) => Object.hasOwn(unread ?? {}, String(type)))?.unread?.[String(type)]
    if (instead !== undefined) throw inputError(where, instead, formatValue(type))
    const known = architectures.flatMap(({ modelTypes }) => modelTypes)
    const near = nearest(String(type), known)
    const remark = near === null ? '' : `; ${quoted(near)} is the nearest`
    throw inputError(
      where,
      `model_type ${known.map((name) => `"${name}"`).join(' or ')} (the supported families${remark})`,
      formatValue(type),
    )
  }
  const model = architecture.open(json, where)
  const { num_labels: given, id2label, problem_type: problem, architectures: classes } = validate(schema, json, where, 'a configuration')
  const names = id2label === undefined ? undefined : Object.keys(id2label).length
  if (given !== undefined && names !== undefined && names !== given)
    throw inputError(where, `num_labels ${given} names in id2label`, String(names))
  const labels = given ?? names ?? 2
  const isCausal = model.naming.causal !== undefined && classes?.[0] === model.naming.causal
  const isTokenClassifier = model.naming.tokenClassifier !== undefined && classes?.[0] === model.naming.tokenClassifier
  const isBare = model.spec.kind === 'encoder' && classes?.[0] === bareClassName(model)
  return {
    model,
    isBare,
    outputs: isCausal
      ? causalOutputs
      : isTokenClassifier
        ? { head: 'token', labels }
        : isBare && problem == null
          ? { head: 'embedding', labels: 0 }
          : { head: 'sequence', labels, problemType: problem ?? (labels === 1 ? 'regression' : 'single_label_classification') },
    labelNames: id2label === undefined ? undefined : namesInOrder(id2label, where),
  }
}

const namesInOrder = (id2label: Readonly<Record<string, string>>, where: string): readonly string[] =>
  Object.keys(id2label).map((_, id, keys) => {
    const name = id2label[String(id)]
    if (name === undefined) throw inputError(where, `id2label with the keys 0 to ${keys.length - 1}`, `no key ${id}`)
    return name
  })
