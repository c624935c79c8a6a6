/** A whole model in Hugging Face layout, for every tool that reads it: the `merged` export, and the result of full fine-tuning, which is read back. */
import { transposedMatrix } from '../checkpoints/safetensors/safetensors.js'
import { encode, layOut, writeSafetensors } from '../checkpoints/safetensors/writeSafetensors.js'
import { isBare, selectHead } from '../models/modelOutputs.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import { joinPath, fileInFolder } from '../storage/paths.js'
import type { Storage } from '../storage/storage.js'
import { checkFloat16, mergedTensors, type MergedTensor, type TrainedModel } from './mergedWeights.js'
import { writeModelConfig, type WrittenPrecision, jsonText, type TargetFolder } from './modelConfig.js'
import { writeTokenizer } from './tokenizerFiles.js'
import { poolingFile } from '../checkpoints/hub/hubRules.js'
import type { Model } from '../models/architecture.js'
import type { Weights, AdapterFormat } from './adapter.js'
import { startPhase } from '../methods/startPhase.js'
import { resolveSettings, findMethod } from '../training/resolveSettings.js'
import { headTensor, openModelFolder } from '../checkpoints/modelFolder.js'
import { inputError } from '../errors/inputError.js'
import { readWeights } from './adapterTensors.js'

type MergedOptions = {
  /** float32 by default, whatever the base model has: float16 has eleven bits, and rounding to them can lose as much as the trained update */
  readonly precision?: WrittenPrecision
  /** tokens of a text, as in training; null: as many as the model has positions */
  readonly maxLength?: number | null
  readonly storage?: Storage
}

/** Writes model.safetensors, the tokenizer and, last, config.json into an existing folder. @throws InputError */
export const exportMerged = async (
  folder: string,
  trained: TrainedModel,
  labelNames: readonly string[] | undefined,
  { precision = 'float32', maxLength = null, storage = nodeFiles }: MergedOptions = {},
): Promise<void> => {
  const { adapter, base } = trained
  const { naming, transposed } = adapter.model
  const tensors = new Map(
    [...mergedTensors(trained)].map(([name, tensor]) => [naming.stored(name), transposed?.(name) === true ? asStored(tensor) : tensor]),
  )
  const dtype = precision === 'float16' ? 'F16' : 'F32'
  const { header, order } = layOut(
    [...tensors].map(([name, { shape }]) => ({ name, shape, dtype })),
    { format: 'pt' },
  )
  const file = joinPath(folder, 'model.safetensors')
  await storage.write(file, writeChunks(header, order, tensors, dtype, file))
  await writeTokenizer({ folder, storage }, base, adapter, maxLength)
  if (adapter.outputs.head === 'sequence' && isBare(adapter.model, adapter.outputs))
    await writeSentenceModules({ folder, storage }, adapter.model, trained.head)
  await writeModelConfig({ folder, storage }, base, adapter, labelNames, precision)
}

/** A matrix [out, in] as its family stores it: [in, out]. */
const asStored = ({ shape, read }: MergedTensor): MergedTensor => ({
  shape: shape.toReversed(),
  read: async () => transposedMatrix(await read(), shape),
})

async function* writeChunks(
  header: Uint8Array,
  order: readonly string[],
  tensors: ReadonlyMap<string, MergedTensor>,
  dtype: 'F32' | 'F16',
  file: string,
): AsyncGenerator<Uint8Array> {
  yield header
  for (const name of order) {
    const { shape, read } = tensors.get(name)!
    const data = await read()
    if (dtype === 'F16') checkFloat16(data, name, file)
    yield encode({ shape, data, dtype })
  }
}

// The files by which sentence-transformers opens a classifier on the embeddings of a sentence encoder: `SentenceTransformer(folder).encode(texts)` gives
// its logits. Beside a model in Hugging Face layout: pooling, length 1, and the classifier as a dense layer.
const modules = ['', '1_Pooling', '2_Normalize', '3_Dense'] as const
const types = ['Transformer', 'Pooling', 'Normalize', 'Dense'] as const

/** @param head the classifier's weight and bias, by canonical name */
const writeSentenceModules = async (
  { folder, storage }: TargetFolder,
  { spec, sequenceHead }: Model,
  head: ReadonlyMap<string, Weights>,
): Promise<void> => {
  const { last } = sequenceHead(1)
  const [weight, bias] = [`${last}.weight`, `${last}.bias`].map((name) => head.get(name))
  if (weight === undefined || bias === undefined) throw new Error(`writeSentenceModules: expected a whole ${last}, got a part`)
  const write = (name: string, text: string | Uint8Array): Promise<void> => storage.write(joinPath(folder, name), text)
  for (const path of modules.slice(1)) await storage.makeFolder(joinPath(folder, path))
  await write(poolingFile, jsonText({ word_embedding_dimension: spec.hiddenSize, pooling_mode_mean_tokens: true }))
  await write('2_Normalize/config.json', jsonText({}))
  const dense = { in_features: spec.hiddenSize, out_features: weight.shape[0], bias: true, activation_function: identity }
  await write('3_Dense/config.json', jsonText(dense))
  const tensors = new Map([
    ['linear.weight', weight],
    ['linear.bias', bias],
  ])
  await write('3_Dense/model.safetensors', writeSafetensors(tensors, { format: 'pt' }))
  const listed = modules.map((path, idx) => ({ idx, name: String(idx), path, type: `sentence_transformers.models.${types[idx]}` }))
  await write('modules.json', jsonText(listed))
}

const identity = 'torch.nn.modules.linear.Identity'

export const huggingFace: AdapterFormat = {
  title: 'a whole model in Hugging Face layout',
  library: 'transformers',
  readsEmbeddings: true,
  write: (folder, adapter, base, storage) =>
    exportMerged(folder, { base, adapter, head: adapter.head }, adapter.labelNames, { maxLength: adapter.settings.maxLength, storage }),
  read: async (folder, base, storage) => {
    const has = async (name: string): Promise<boolean> => (await fileInFolder(folder, name, storage)) !== undefined
    if (!(await has('config.json')) || (await has('adapter_config.json'))) return null
    const trained = await openModelFolder(folder, { storage })
    const { model, outputs, labelNames } = trained
    if (JSON.stringify([...model.spec.tensors]) !== JSON.stringify([...base.model.spec.tensors]))
      throw inputError(folder, `a model of the same shape as ${base.folder}`, 'another shape')
    const method = findMethod('full')
    const settings = resolveSettings({ method: 'full' })
    const tensors = new Map<string, Weights>()
    for (const [name, entry] of trained.tensors) tensors.set(name, await readWeights(entry))
    const head = new Map<string, Weights>()
    for (const [name, shape] of selectHead(model, outputs, method).tensors) {
      const entry = headTensor(trained, name, shape)
      if (entry !== undefined) head.set(name, await readWeights(entry))
    }
    return {
      model,
      baseModelName: base.baseModelName,
      method,
      settings,
      phase: startPhase(method, model.spec, settings),
      tensors,
      outputs,
      head,
      labelNames,
    }
  },
}
