/** The tensors of an adapter's files: opened, held to what its configuration says, read once and checked; and the head among them. */
import { join } from 'node:path'
import { z } from 'zod'
import { validate } from '../errors/validate.js'
import { labelNames, namesLimit } from '../checkpoints/labelNames.js'
import { inputError, quoted } from '../errors/inputError.js'
import { parseJson, readText } from '../storage/boundedJson.js'
import { readTensor, type TensorEntry } from '../checkpoints/safetensors/safetensors.js'
import { showShape } from '../checkpoints/safetensors/safetensorsHeader.js'
import { fileInFolder } from '../storage/fileInFolder.js'
import type { Model, TensorShape } from '../models/architecture.js'
import { causalOutputs, headOf, problemTypes, type ModelOutputs } from '../models/modelOutputs.js'
import type { Weights } from './adapter.js'

/** What other formats have no place for: the problem and the names of the classes. */
export const namesFile = 'salora.json'

/** Bytes of an adapter_config.json or salora.json. */
export const adapterConfigLimit = namesLimit

export const namesText = (outputs: ModelOutputs, names: ReadonlyArray<string> | undefined): string => {
  const { taskType } = outputs
  const problemType = outputs.head === 'sequence' ? outputs.problemType : null
  return `${JSON.stringify({ labelNames: names ?? null, ...(taskType === undefined ? {} : { taskType }), problemType }, null, 2)}\n`
}

const namesSchema = z.object({
  labelNames: labelNames.nullable(),
  taskType: z.string().min(1).max(1_000).optional(),
  /** null: the next token */
  problemType: z.enum(problemTypes).nullable(),
})
export type StoredNames = z.infer<typeof namesSchema>

export const readNames = async (folder: string): Promise<StoredNames | undefined> => {
  const file = await fileInFolder(folder, namesFile)
  if (file === undefined) return undefined
  return validate(namesSchema, parseJson(await readText(file, adapterConfigLimit), file), file, 'names as salora writes them')
}

/** The path of a file that must be there; like those of a model, it may be a link only within its folder or the hub's cache. */
export const fileOf = async (folder: string, name: string): Promise<string> => {
  const file = await fileInFolder(folder, name)
  if (file === undefined) throw inputError(join(folder, name), 'a readable file', 'none (no such file or folder)')
  return file
}

type Entries = ReadonlyMap<string, TensorEntry>
type Shapes = ReadonlyMap<string, TensorShape>

/** The name of the head's tensor whose first side is the number of outputs. */
const outputWeight = (model: Model): string =>
  [...model.sequenceHead(2).tensors].find(
    ([name, shape]) => shape.length > 1 && shape[0] !== model.sequenceHead(3).tensors.get(name)?.[0],
  )?.[0] ?? ''

/** PEFT's name for adapters of a decoder that predicts the next token. */
export const causalTask = 'CAUSAL_LM'

/**
 * The outputs of the head in a file, else those given. `task`: the configuration's task_type. @throws Mistake where the stored names do not fit
 * them, and for a decoder's adapter that was given to an encoder
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
  if (names?.problemType === null || task === causalTask) {
    if (model.causalHead === undefined) throw inputError(folder, `an adapter of an ${model.spec.kind}`, `one of task_type ${causalTask}`)
    return { ...causalOutputs, ...taskType }
  }
  const labelsInFile = tensors.get(keyOf(outputWeight(model)))?.shape[0]
  if (labelsInFile === undefined && given.head === 'causal') return given
  const labels = labelsInFile ?? given.labels
  if (names?.labelNames && names.labelNames.length !== labels) {
    throw inputError(join(folder, namesFile), `${labels} labelNames`, `${names.labelNames.length}`)
  }
  const implied = labels === 1 ? 'regression' : 'single_label_classification'
  const ofModel = labelsInFile === undefined && given.head === 'sequence' ? given.problemType : implied
  return { head: 'sequence', labels, problemType: names?.problemType ?? ofModel, ...taskType }
}

/** A head's part (classifier, pooler) is whole or absent; those that the configuration says were saved must be there. */
export const headShapesIn = (
  tensors: Entries,
  keyOf: (name: string) => string,
  model: Model,
  outputs: ModelOutputs,
  saved: ReadonlyArray<string>,
): Shapes => {
  const shapes = headOf(model, outputs).tensors
  const partOf = (name: string): string => name.split('.')[0] ?? ''
  const inFile = new Set([...shapes.keys()].filter((name) => tensors.has(keyOf(name))).map(partOf))
  return new Map([...shapes].filter(([name]) => inFile.has(partOf(name)) || saved.includes(partOf(name))))
}

/** Every tensor that is expected is there in its shape, and no other. @throws Mistake */
export const checkKeys = (tensors: Entries, expected: Shapes, file: string, configName: string): void => {
  for (const [key, shape] of expected) {
    const entry = tensors.get(key)
    if (entry === undefined) throw inputError(file, `tensor ${key} ${showShape(shape)}`, 'none of that name')
    if (entry.shape.join() !== shape.join()) throw inputError(file, `tensor ${key} of shape ${showShape(shape)}`, showShape(entry.shape))
  }
  const stray = [...tensors.keys()].find((key) => !expected.has(key))
  if (stray !== undefined) throw inputError(file, `only the ${expected.size} tensors that ${configName} describes`, quoted(stray, 120))
}

/** @throws Mistake for a number that is not finite */
export const readWeights = async (entry: TensorEntry): Promise<Weights> => {
  const data = await readTensor(entry)
  const at = data.findIndex((x) => !Number.isFinite(x))
  if (at >= 0) throw inputError(entry.file, `finite numbers in ${entry.name}`, `${data[at]} at ${at}`)
  return { shape: entry.shape, data }
}

/** The tensors under these keys, by their names. */
export const readAll = async (
  tensors: Entries,
  names: Iterable<string>,
  keyOf: (name: string) => string,
): Promise<ReadonlyMap<string, Weights>> => {
  const read = new Map<string, Weights>()
  for (const name of names) read.set(name, await readWeights(tensors.get(keyOf(name)) as TensorEntry))
  return read
}
