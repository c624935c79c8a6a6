/** Reads an AdaLoRA adapter in PEFT's format, ours or one that PEFT trained. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import type { TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import type { AdaloraPhase } from '../../methods/adalora/phase.js'
import type { AdaptedMatrix } from '../../methods/lowRank.js'
import { withTrainedTokens } from '../../methods/trainedTokens.js'
import type { TensorShape } from '../../models/architecture.js'
import type { Storage } from '../../storage/storage.js'
import { methodOf, resolveSettings } from '../../training/settings.js'
import type { Adapter, Weights } from '../adapter.js'
import { readWeights } from '../adapterTensors.js'
import { keptTriplets, parseAdaloraConfig, runSettings, type AdaloraConfig } from './adaloraConfig.js'
import { openAdapterFolder } from './adapterFolder.js'
import { targetedModules } from './loadPeft.js'
import { namedRows, readRows } from './tokenRows.js'
import { peftPrefix, tripletKeys } from './peft.js'

/** @throws InputError if the configuration is not AdaLoRA's, or if a tensor is missing, unexpected, of another shape or not finite */
export const loadAdalora = async (folder: string, base: ModelFolder, storage: Storage): Promise<Adapter> => {
  const { model } = base
  const { config, configFile, tensors, outputs, labelNames, checkTensors, readHead } = await openAdapterFolder(
    folder,
    base,
    parseAdaloraConfig,
    storage,
  )
  const adapted = adaptedMatrices(config, base, tensors, configFile)
  const named = namedRows(config.trainable_token_indices, model, outputs, tensors, configFile)
  checkTensors([...adapted.flatMap(shapesOf), ...named.map(({ key, shape }) => [key, shape] as const)])
  const { tokens, weights } = await readRows(named, base, outputs, tensors, configFile)
  return {
    model,
    baseModelName: config.base_model_name_or_path ?? '',
    method: withTrainedTokens(methodOf('adalora'), tokens),
    settings: { ...resolveSettings({ method: 'adalora' }), ...runSettings(config) },
    phase: phaseOf(config, adapted),
    tensors: new Map([...(await readTriplets(tensors, adapted)), ...weights]),
    outputs,
    head: await readHead(),
    labelNames,
  }
}

/** An adapted matrix, the keys of its triplets, and which of them remain. */
type Adapted = AdaptedMatrix & { readonly keys: ReturnType<typeof tripletKeys>; readonly kept: readonly boolean[] }

const adaptedMatrices = (
  config: AdaloraConfig,
  { model }: ModelFolder,
  tensors: ReadonlyMap<string, TensorEntry>,
  configFile: string,
): readonly Adapted[] => {
  const modules = targetedModules(config, model.spec.matrices, model, tensors, configFile)
  const paths = modules.map(({ path }) => path)
  const patterns = keptTriplets(config, paths, configFile)
  const all = new Array<boolean>(config.init_r).fill(true)
  return modules.map(({ name, d, k, path }, i) => {
    const kept = patterns[i] ?? all
    return { name, d, k, r: kept.filter(Boolean).length, kept: [...kept], keys: tripletKeys(`${peftPrefix}${path}`) }
  })
}

const shapesOf = ({ d, k, r, keys }: Adapted): readonly (readonly [string, TensorShape])[] => [
  [keys.A, [r, k]],
  [keys.B, [d, r]],
  [keys.E, [r, 1]],
]

const readTriplets = async (
  tensors: ReadonlyMap<string, TensorEntry>,
  adapted: readonly Adapted[],
): Promise<ReadonlyMap<string, Weights>> => {
  const weights = new Map<string, Weights>()
  for (const { name, keys } of adapted)
    for (const [factor, key] of Object.entries(keys)) weights.set(`${name}.${factor}`, await readWeights(tensors.get(key) as TensorEntry))
  return weights
}

const phaseOf = ({ total_step: steps, tfinal, rank_pattern: pattern }: AdaloraConfig, adapted: readonly Adapted[]): AdaloraPhase => ({
  matrices: adapted.map(({ name, d, k, r }) => ({ name, d, k, r })),
  steps,
  fixed: pattern == null ? null : { step: steps - tfinal + 1, kept: adapted.map(({ kept }) => [...kept]) },
})
