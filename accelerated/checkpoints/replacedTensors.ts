/** A model folder some of whose tensors are another file's: whole modules of an adapter. Its weights stay in their files. */
import { memoryLimit } from '../engines/inNode.js'
import { isTied, outputTable } from '../models/wordTables.js'
import { readText } from '../storage/text.js'
import { requiredFile } from '../storage/paths.js'
import { withTexts } from '../storage/storage.js'
import { parseConfigFile } from './configFile.js'
import { withValue, withVocabulary } from './extendVocabulary.js'
import { namesLimit } from './labelNames.js'
import { checkLeastMemory, frozenHeadTensors, modelIn, type ModelFolder, type WholeModules } from './modelFolder.js'
import type { TensorEntry } from './safetensors/safetensors.js'
import { locateFiles } from './safetensors/weightFiles.js'
import { loadTokenizerOnce } from './tokenizer/tokenizer.js'

/**
 * @param replaced by canonical name, of the shapes that the model has; tables of words may have other rows, each the same number. An output matrix
 * among them makes the model one whose tables are two. @throws InputError if the model would not fit into memory
 */
export const replaceTensors = async (
  base: ModelFolder,
  replaced: ReadonlyMap<string, TensorEntry>,
  whole: WholeModules,
): Promise<ModelFolder> => {
  const { folder, outputs } = base
  const changed = await withTables(base, replaced)
  const tensors = new Map([...base.tensors].map(([name, entry]) => [name, replaced.get(name) ?? entry]))
  const others = new Map([...base.others, ...[...replaced].filter(([name]) => !tensors.has(name))])
  const frozen = new Map([...tensors, ...frozenHeadTensors(changed.model, others)])
  checkLeastMemory(changed.model.spec, frozen, folder, memoryLimit())
  const files = await locateFiles(folder, new Set([...frozen.values()].map(({ file }) => file)), base.files.storage)
  return { ...base, ...changed, outputs, tensors, others, frozen, files, whole }
}

/** The model and its config.json with the tables' rows, and as untied if it gets an output matrix. */
const withTables = async (base: ModelFolder, replaced: ReadonlyMap<string, TensorEntry>) => {
  const { folder, model, storage, averages } = base
  const [before = 0] = model.spec.tensors.get(model.spec.words) ?? []
  const [rows = before] = replaced.get(model.spec.words)?.shape ?? []
  const unties = isTied(model) && replaced.has(outputTable)
  if (rows === before && !unties) return { model, storage, tokenizer: base.tokenizer }
  const file = await requiredFile(folder, 'config.json', storage)
  const text = await readText(file, namesLimit, storage)
  const untied = unties ? withValue(text, 'tie_word_embeddings', false) : text
  const size = rows === before ? model.vocabularySize : rows
  const larger = withVocabulary(modelIn(parseConfigFile(withValue(untied, 'vocab_size', rows), file), averages), size)
  const written = withTexts(storage, new Map([[file, withValue(untied, 'vocab_size', size)]]))
  return { model: larger, storage: written, tokenizer: loadTokenizerOnce({ folder, model: larger, storage: written }) }
}
