/**
 * The files by which sentence-transformers opens a classifier on the embeddings of a sentence encoder: `SentenceTransformer(folder).encode(texts)` gives
 * its logits. Beside a model in Hugging Face layout: pooling, length 1, and the classifier as a dense layer.
 */
import { writeSafetensors } from '../checkpoints/safetensors/writeSafetensors.js'
import { poolingFile } from '../checkpoints/hub/hubRules.js'
import type { Model } from '../models/architecture.js'
import { joinPath } from '../storage/paths.js'
import type { Weights } from './adapter.js'
import { jsonText, type TargetFolder } from './modelConfig.js'

const modules = ['', '1_Pooling', '2_Normalize', '3_Dense'] as const
const types = ['Transformer', 'Pooling', 'Normalize', 'Dense'] as const

/** @param head the classifier's weight and bias, by canonical name */
export const writeSentenceModules = async (
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
