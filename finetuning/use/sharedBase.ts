/**
 * One open base for any number of adapters, which share a graph and a session with the base's weights. Those that write text are inputs of any rank, and
 * those of another kind get the same rank.
 */
import { checkFinite } from '../../accelerated/checkpoints/frozenWeights.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { headTensor, type ModelFolder, openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Adapter } from '../../accelerated/formats/adapter.js'
import { chooseMaxRank, emptyLora, largestRank, toOneRank } from '../../accelerated/formats/adapterInputs.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { sentenceEncoder } from '../../accelerated/models/layers/classifierHead.js'
import { causalOutputs, selectHead } from '../../accelerated/models/modelOutputs.js'
import { checkModelFiles } from '../run/runFingerprint.js'
import { adapterIn, completeHead, noAdapter } from './attachAdapter.js'
import { asLora, supportedFormats, unsupported } from './exportFormats.js'
import type { TrainedModelOptions } from './openModel.js'

/** An adapter in its own rank. */
export type ReadAdapter = { readonly folder: string; readonly lora: Adapter; readonly trainedBy: TrainedModelOptions['trainedBy'] }

export type SharedBase = {
  readonly base: ModelFolder
  /** @throws InputError for an adapter of another base, for one that is no plain LoRA, and for a number that is not finite */
  readonly read: (adapter: Pick<ReadAdapter, 'folder' | 'trainedBy'>) => Promise<ReadAdapter>
  /** The base with an adapter. @param scale of the adapter's update, beside its own @throws InputError for a rank above `rank` */
  readonly attach: (adapter: ReadAdapter, rank: number, scale: number) => Promise<TrainedModel>
  /** The base by itself, in the graph of its adapters; null: it has no head, and is neither a decoder nor a sentence encoder */
  readonly alone: (rank: number) => Promise<TrainedModel | null>
}

/** @param model a folder in Hugging Face layout, or a hub id @throws InputError if a file is missing or wrong, or a weight is not finite */
export const openSharedBase = async (model: string): Promise<SharedBase> => {
  const resolved = await resolveModel(model)
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  const heads = new Map([
    ...[...base.frozen].map(([name, { shape }]) => [name, shape] as const),
    ...selectHead(base.model, base.outputs).tensors,
  ])
  await checkFinite(base, heads)
  return {
    base,
    read: async ({ folder, trainedBy }) => {
      if (trainedBy !== undefined) await checkModelFiles(base, trainedBy.inputs, trainedBy.run)
      const { adapter } = await adapterIn(folder, base)
      if (!supportedFormats(adapter).includes('peft-padded'))
        throw inputError(folder, 'an adapter that is plain LoRA, to share a base', unsupported(adapter, 'peft-padded'))
      return { folder, lora: asLora(adapter) ?? adapter, trainedBy }
    },
    attach: async ({ folder, lora }, rank, scale) => {
      const most = chooseMaxRank(lora, rank)
      const adapter = toOneRank(lora, lora.outputs.head === 'causal' ? largestRank(lora) : most, scale)
      return { base, adapter, head: await completeHead(base, adapter, folder) }
    },
    alone: async (rank) => {
      const plain = outputsAlone(base)
      if (plain === null) return null
      const adapter = toOneRank(emptyLora(plain), plain.outputs.head === 'causal' ? 1 : rank)
      return { base, adapter, head: await completeHead(base, adapter, null) }
    },
  }
}

/** What a model answers without an adapter, as an adapter that is none. */
const outputsAlone = (base: ModelFolder): Adapter | null => {
  const { model, outputs, averages } = base
  const plain = noAdapter(base)
  if (outputs.head === 'causal') return plain
  if (outputs.head === 'embedding') return averages ? { ...plain, model: sentenceEncoder(model) } : null
  if ([...selectHead(model, outputs).tensors].every(([name, shape]) => headTensor(base, name, shape) !== undefined)) return plain
  if (averages) return { ...plain, model: sentenceEncoder(model), outputs: { head: 'embedding', labels: 0 } }
  return model.spec.kind === 'decoder' && model.causalHead !== undefined ? { ...plain, outputs: causalOutputs } : null
}
