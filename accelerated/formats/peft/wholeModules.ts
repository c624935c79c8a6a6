/**
 * What an adapter of PEFT has whole of its base model: modules_to_save, and tables of words that PEFT writes beside their updates or because they were
 * resized. The base gets them in place of its own tensors before the adapter is read, so nothing else needs to know.
 */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { replaceTensors } from '../../checkpoints/replacedTensors.js'
import { readSafetensors, storedShape, type TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import { inputError } from '../../errors/inputError.js'
import { sameShape, showShape } from '../../graph/expression.js'
import type { Model } from '../../models/architecture.js'
import { isTied, matrixOf, outputTable } from '../../models/wordTables.js'
import { fileInFolder, requiredFile } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { readText } from '../../storage/text.js'
import { adapterConfigLimit } from '../saloraJson.js'
import { adapterFiles } from './peft.js'
import { isPeftType, parsePeftConfig, type PeftConfig } from './peftConfig.js'
import { peftPrefix, withAdapterTokens } from './tokenRows.js'

type Entries = ReadonlyMap<string, TensorEntry>

/** Where a tensor of the model is in the adapter's file. inPlace: PEFT loads it into the base model itself, and so into all that are tied to it. */
type Found = { readonly name: string; readonly key: string; readonly entry: TensorEntry; readonly inPlace: boolean }

/** The base model as the adapter in a folder needs it: with its tokens, and with what it has whole. @throws InputError */
export const baseOfAdapter = async (folder: string, base: ModelFolder, storage: Storage): Promise<ModelFolder> => {
  const weights = await fileInFolder(folder, adapterFiles.weights, storage)
  if (weights === undefined || !(await isPeftType(folder, 'LORA', storage))) return withAdapterTokens(folder, base, storage)
  const configFile = await requiredFile(folder, adapterFiles.config, storage)
  const config = parsePeftConfig(await readText(configFile, adapterConfigLimit, storage), configFile)
  const { tensors } = await readSafetensors(weights, storage)
  const found = findWhole(config, tensors, base, weights)
  const replaced = new Map([...tiedOutput(found, tensors, base), ...found.map(({ name, entry }) => [name, entry] as const)])
  const isResized = checkRows(base, replaced, config, weights)
  const extended = await withAdapterTokens(folder, base, storage, isResized)
  if (replaced.size === 0) return extended
  const ofKeys = new Map(found.map(({ key }) => [key, tensors.get(key) as TensorEntry]))
  return replaceTensors(extended, replaced, { modules: config.modules_to_save ?? [], tensors: ofKeys })
}

/** @throws InputError if a tensor has another shape than the model's, or if a saved module lacks one */
const findWhole = (config: PeftConfig, tensors: Entries, { model }: ModelFolder, file: string): readonly Found[] => {
  const isSaved = savedModules(config, model)
  const tables = new Set([model.spec.words, ...(model.causalHead === undefined ? [] : [outputTable])])
  const shapes = new Map([[outputTable, [NaN, model.spec.hiddenSize]], ...model.spec.tensors])
  return [...new Set([...model.spec.tensors.keys(), ...tables])].flatMap((name): readonly Found[] => {
    const paths = [model.naming.stored(name), name]
    const plain = paths.find((path) => tensors.has(`${peftPrefix}${path}`))
    const beside = tables.has(name) ? paths.map(besideUpdate).find((path) => tensors.has(`${peftPrefix}${path}`)) : undefined
    const key = `${peftPrefix}${plain ?? beside ?? paths[0]}`
    const shape = shapes.get(name) ?? []
    const entry = tensors.get(key)
    if (entry === undefined) {
      if (isSaved(name)) throw inputError(file, `tensor ${key} ${showShape(shape)} of modules_to_save`, 'none of that name')
      return []
    }
    const own: TensorEntry = model.transposed?.(name) === true ? { ...entry, shape: entry.shape.toReversed(), transposed: true } : entry
    const expected = tables.has(name) ? [own.shape[0] ?? 0, shape[1] ?? 0] : shape
    if (!sameShape(expected, own.shape))
      throw inputError(file, `tensor ${key} of shape ${showShape(storedShape({ ...own, shape: expected }))}`, showShape(entry.shape))
    return [{ name, key, entry: own, inPlace: plain === undefined || !isSaved(name) }]
  })
}

const besideUpdate = (path: string): string => path.replace(/(?=\.weight$)/, '.base_layer')

/** Whether a tensor is of a module that PEFT saves: one whose path, or that of a module around it, ends with a name of the list. */
const savedModules = ({ modules_to_save: saved }: PeftConfig, model: Model): ((tensor: string) => boolean) => {
  const ends = [...new Set(saved ?? [])]
  const known = new Map<string, boolean>()
  const isSaved = (path: string): boolean => {
    if (path === '' || ends.length === 0) return false
    const result = known.get(path) ?? (ends.some((end) => path.endsWith(end)) || isSaved(path.slice(0, Math.max(0, path.lastIndexOf('.')))))
    known.set(path, result)
    return result
  }
  return (tensor) => {
    const isOther = tensor === outputTable && model.causalHead === undefined
    return !isOther && isSaved(model.naming.stored(tensor).replace(/\.[^.]+$/, ''))
  }
}

/**
 * Where the adapter changes one of two tied tables, PEFT leaves the other as it was: an output matrix of its own, with the embeddings of the base, or
 * those that the file has in place of the base's.
 */
const tiedOutput = (
  found: readonly Found[],
  tensors: Entries,
  { model, tensors: own }: ModelFolder,
): readonly (readonly [string, TensorEntry])[] => {
  const words = found.find(({ name }) => name === model.spec.words)
  const entry = words?.inPlace === true ? words.entry : own.get(model.spec.words)
  const paths = [outputTable, model.spec.words].map((table) => `${peftPrefix}${matrixOf(model.naming.stored(table))}`)
  const hasUpdate = paths.some((path) => tensors.has(`${path}.lora_A.weight`) || tensors.has(`${path}.lora_embedding_A`))
  return isTied(model) && entry !== undefined && (hasUpdate || words?.inPlace === false) ? [[outputTable, entry]] : []
}

/** Whether the tables of words have another number of rows than the base's. @throws InputError if one has and the other has not */
const checkRows = ({ frozen, model }: ModelFolder, replaced: Entries, { task_type: task }: PeftConfig, file: string): boolean => {
  const { words } = model.spec
  const [before = 0] = frozen.get(words)?.shape ?? []
  const [rows = before] = replaced.get(words)?.shape ?? []
  const output = replaced.get(outputTable) ?? frozen.get(outputTable)
  if (task !== 'SEQ_CLS' && output !== undefined && output.shape[0] !== rows)
    throw inputError(file, `${rows} rows of lm_head, as the embeddings have`, `${output.shape[0]}`)
  return rows !== before
}
