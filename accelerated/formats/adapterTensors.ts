/** The tensors of an adapter's files: exactly those that its configuration describes, and finite; which outputs the head among them has. */
import { readTensor, type TensorEntry } from '../checkpoints/safetensors/safetensors.js'
import { showShape } from '../graph/expression.js'
import { inputError, quoted } from '../errors/inputError.js'
import type { TensorShape, Head, Model } from '../models/architecture.js'
import type { Weights } from './adapter.js'
import { causalOutputs, selectHead, outputTensors, type ModelOutputs } from '../models/modelOutputs.js'
import { joinPath } from '../storage/paths.js'
import { namesFile, type StoredNames } from './saloraJson.js'

type Entries = ReadonlyMap<string, TensorEntry>

/** @throws InputError if an expected tensor is missing or of another shape, or if there is any other tensor */
export const checkKeys = (tensors: Entries, expected: ReadonlyMap<string, TensorShape>, file: string, configName: string): void => {
  for (const [key, shape] of expected) {
    const entry = tensors.get(key)
    if (entry === undefined) throw inputError(file, `tensor ${key} ${showShape(shape)}`, 'none of that name')
    if (entry.shape.join() !== shape.join()) throw inputError(file, `tensor ${key} of shape ${showShape(shape)}`, showShape(entry.shape))
  }
  const stray = [...tensors.keys()].find((key) => !expected.has(key))
  if (stray !== undefined) throw inputError(file, `only the ${expected.size} tensors that ${configName} describes`, quoted(stray, 120))
}

/** @throws InputError if a number is not finite */
export const readWeights = async (entry: TensorEntry): Promise<Weights> => {
  const data = await readTensor(entry)
  const at = data.findIndex((x) => !Number.isFinite(x))
  if (at >= 0) throw inputError(entry.file, `finite numbers in ${entry.name}`, `${data[at]} at ${at}`)
  return { shape: entry.shape, data }
}

/** Tensors by name, each read from its key. The keys must exist. @throws InputError as readWeights does */
export const readAll = async (
  tensors: Entries,
  names: Iterable<string>,
  toKey: (name: string) => string,
): Promise<ReadonlyMap<string, Weights>> => {
  const weights = new Map<string, Weights>()
  for (const name of names) weights.set(name, await readWeights(tensors.get(toKey(name)) as TensorEntry))
  return weights
}

/** PEFT's task_type for adapters of a decoder that predicts the next token. */
export const causalTask = 'CAUSAL_LM'

/** PEFT's task_type for adapters that classify tokens. */
export const tokenTask = 'TOKEN_CLS'

/** PEFT's task_type for adapters of an encoder without a head. */
export const embeddingTask = 'FEATURE_EXTRACTION'

/** The name of the head's matrix whose first dimension is the number of outputs. */
const outputWeight = (head: (outputs: number) => Pick<Head, 'tensors'>): string =>
  outputTensors(head).find((name) => head(2).tensors.get(name)?.length === 2) ?? ''

/**
 * The outputs of the head in the files; without a head, those given.
 * @param task the configuration's task_type
 * @throws InputError if the stored names contradict the head, or if the model has no head of the adapter's task
 */
export const outputsIn = (
  tensors: Entries,
  keyOf: (name: string) => string,
  model: Model,
  given: ModelOutputs,
  { names, task }: { readonly names: StoredNames | undefined; readonly task: string | null | undefined },
  folder: string,
): ModelOutputs => {
  const taskType = names?.taskType === undefined ? {} : { taskType: names.taskType }
  const storedLabels = (head: (outputs: number) => Pick<Head, 'tensors'>): number | undefined => {
    const stored = tensors.get(keyOf(outputWeight(head)))?.shape[0]
    const labels = stored ?? given.labels
    if (names?.labelNames && names.labelNames.length !== labels)
      throw inputError(joinPath(folder, namesFile), `${labels} labelNames`, `${names.labelNames.length}`)
    return stored
  }
  if (names?.head === 'embedding' || (names === undefined && task === embeddingTask && model.spec.kind === 'encoder'))
    return { head: 'embedding', labels: 0, ...taskType }
  if (names?.head === 'token' || task === tokenTask) {
    const { tokenHead } = model
    if (tokenHead === undefined) throw inputError(folder, `an adapter of a ${model.spec.kind}`, `one of task_type ${tokenTask}`)
    return { head: 'token', labels: storedLabels(tokenHead) ?? given.labels, ...taskType }
  }
  if (names?.problemType === null || task === causalTask) {
    if (model.causalHead === undefined) throw inputError(folder, `an adapter of an ${model.spec.kind}`, `one of task_type ${causalTask}`)
    return { ...causalOutputs, ...taskType }
  }
  const stored = storedLabels(model.sequenceHead)
  if (stored === undefined && given.head !== 'sequence') return given
  const labels = stored ?? given.labels
  const implied = labels === 1 ? 'regression' : 'single_label_classification'
  const ofModel = stored === undefined && given.head === 'sequence' ? given.problemType : implied
  return { head: 'sequence', labels, problemType: names?.problemType ?? ofModel, ...taskType }
}

/** The shapes of the head's parts (classifier, pooler) that the files have, each whole, or that the configuration lists as saved. */
export const headShapesIn = (
  tensors: Entries,
  keyOf: (name: string) => string,
  model: Model,
  outputs: ModelOutputs,
  saved: readonly string[],
): ReadonlyMap<string, TensorShape> => {
  const shapes = selectHead(model, outputs).tensors
  const firstPart = (name: string): string => name.split('.')[0] ?? ''
  const inFile = new Set([...shapes.keys()].filter((name) => tensors.has(keyOf(name))).map(firstPart))
  return new Map([...shapes].filter(([name]) => inFile.has(firstPart(name)) || saved.includes(firstPart(name))))
}
