/** LoRA in PEFT's format: the adapters of `lora` and `salora`, and those that PEFT trained. */
import { showShape } from '../../graph/expression.js'
import { inputError } from '../../errors/inputError.js'
import { headTensor, type ModelFolder } from '../../checkpoints/modelFolder.js'
import { readTensor } from '../../checkpoints/safetensors/safetensors.js'
import { findMethod, resolveSettings, type Settings } from '../../training/resolveSettings.js'
import { lora, loraScale, type LoraPhase, type LoraSettings } from '../../methods/lora.js'
import type { AdaptedMatrix } from '../../methods/lowRank.js'
import { adaptableMatrices, wordTables } from '../../models/wordTables.js'
import { withTrainedTokens } from '../../methods/trainedTokens.js'
import type { Adapter, AdapterFormat, Weights } from '../adapter.js'
import { readWeights } from '../adapterTensors.js'
import { writeAddedTokens } from '../tokenizerFiles.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import type { Storage } from '../../storage/storage.js'
import { isPeftType } from './peftConfig.js'
import { loadLowRank, type LoadedLowRank, type ScaledPair } from './loadPeft.js'
import { emptyPair, padToRank, pairRank, type LowRankAdapter, type LowRankPair, saveAdapter } from './peft.js'
import { readRows, rowTensors, tokenKeys } from './tokenRows.js'

export const peftLora: AdapterFormat = {
  title: "PEFT's `LORA`",
  library: 'peft',
  readsEmbeddings: true,
  write: async (folder, adapter, base, storage) => {
    await writeAddedTokens({ folder, storage }, base, adapter)
    await saveAdapter(folder, { ...toLowRankAdapter(adapter), ...(await readWhole(adapter)) }, storage)
  },
  read: async (folder, base, storage) =>
    (await isPeftType(folder, 'LORA', storage))
      ? toAdapter(await loadLowRank(folder, base.model, base.outputs, storage, base.whole), base, folder)
      : null,
  asLora: (adapter) => adapter,
}

/** Whether the phase is LoRA's, with trained biases of the adapted matrices. */
export const hasBiases = (phase: unknown): boolean => (phase as Partial<LoraPhase>).biases !== undefined

/** What an adapter changes beside the matrices of layers and the head, which only PEFT's own layout and a merged model hold; null: nothing. */
export const changesTables = ({ model, phase, whole }: Adapter): string | null => {
  const { matrices = [] } = phase as Partial<LoraPhase>
  const table = wordTables(model).find(({ name }) => matrices.some((matrix) => matrix.name === name))
  if (table !== undefined) return `an adapter of ${table.name}`
  return whole === undefined ? null : 'an adapter with whole modules of the model (modules_to_save)'
}

/** PEFT's own numbers of what the adapter has whole. */
const readWhole = async ({ whole }: Adapter): Promise<Pick<LowRankAdapter, 'wholeModules'>> => {
  if (whole === undefined) return {}
  const tensors: (readonly [string, Weights])[] = []
  for (const [key, entry] of whole.tensors) tensors.push([key, await readWeights(entry)])
  return { wholeModules: { modules: whole.modules, tensors } }
}

/** What is not in a file of one rank, for servers that ignore patterns; null if all of the adapter is. It takes an adapter as plain LoRA. */
export const notForPadded = (adapter: Adapter): string | null => {
  const { method, settings, phase } = adapter
  if (hasBiases(phase)) return 'an adapter with trained biases'
  if (settings['useDora'] === true) return 'an adapter with magnitudes (DoRA)'
  return method.tokens === undefined ? changesTables(adapter) : 'an adapter with rows of tokens'
}

/**
 * Writes one rank, one alpha and no patterns, for servers that ignore patterns, and an adapter that `notForPadded` allows. Rows and columns of zeros
 * pad the smaller ranks.
 * @param targeted the matrices that training adapted; those of rank 0 become pairs of zeros
 */
export const writePaddedLora = async (
  folder: string,
  adapter: Adapter,
  targeted: readonly string[],
  storage: Storage = nodeFiles,
): Promise<void> => {
  const { modules, ...rest } = toLowRankAdapter(adapter)
  const empty = adapter.model.spec.matrices
    .filter(({ name }) => targeted.includes(name) && !modules.has(name))
    .map((matrix): readonly [string, LowRankPair] => [matrix.name, emptyPair(matrix)])
  const widest = Math.max(rest.rank, ...[...modules.values()].map(pairRank)) // PEFT's patterns may exceed r
  const alpha = rest.alpha * (rest.rslora ? Math.sqrt(widest / rest.rank) : widest / rest.rank)
  return saveAdapter(folder, padToRank({ ...rest, rank: widest, alpha, modules: new Map([...modules, ...empty]) }), storage)
}

/** For a method whose phase has `matrices`, each with tensors A and B (and DoRA's magnitude), and whose settings have one rank and one alpha. */
export const toLowRankAdapter = (adapter: Adapter): LowRankAdapter => {
  const { model, outputs, baseModelName, settings, phase, tensors, head, labelNames } = adapter
  const { rank, loraAlpha, useRslora = false, useDora = false, loraDropout = 0 } = settings
  if (rank === undefined || loraAlpha === undefined)
    throw new Error('toLowRankAdapter: expected settings of a low-rank method, got no rank and alpha')
  const tensor = (name: string): Weights => {
    const weights = tensors.get(name)
    if (weights === undefined) throw new Error(`toLowRankAdapter: expected ${name} among the adapter's tensors, got none`)
    return weights
  }
  const pair = (name: string): LowRankPair => ({
    A: tensor(`${name}.A`),
    B: tensor(`${name}.B`),
    ...(useDora ? { magnitude: tensor(`${name}.magnitude`) } : {}),
    ...((phase as LoraPhase).biases?.includes(name) ? { bias: tensor(`${name}.bias`) } : {}),
  })
  return {
    model,
    outputs,
    baseModelName,
    rank,
    alpha: loraAlpha,
    rslora: useRslora,
    dropout: loraDropout,
    modules: new Map((phase as LoraPhase).matrices.map(({ name }) => [name, pair(name)])),
    head,
    ...(adapter.method.tokens === undefined ? {} : { tokens: { keys: tokenKeys(adapter), tensors: rowTensors(adapter) } }),
    ...(labelNames === undefined ? {} : { labelNames }),
  }
}

const toAdapter = async (loaded: LoadedLowRank, base: ModelFolder, folder: string): Promise<Adapter> => {
  const { model, outputs, baseModelName, rank, rslora, dora, dropout, modules, labelNames } = loaded
  const { tokens, weights } = await readRows(loaded.tokenRows, base, outputs, loaded.tensors, folder)
  // PEFT bounds alpha less than we bound a user's, so these settings are not validated.
  const settings: Settings & LoraSettings = {
    ...(resolveSettings({ method: 'lora' }) as Settings & LoraSettings),
    rank,
    loraAlpha: loaded.alpha || rank,
    useRslora: rslora,
    useDora: dora,
    loraDropout: dropout,
    loraBias: [...modules.values()].some(({ bias }) => bias !== undefined) ? 'lora_only' : 'none',
  }
  const biases = model.spec.matrices.flatMap(({ name }) => (modules.get(name)?.bias === undefined ? [] : [name]))
  const phase: LoraPhase = {
    matrices: adaptableMatrices(model).flatMap(({ name }) => toAdaptedMatrices(modules.get(name))),
    ...(biases.length > 0 ? { biases } : {}),
  }
  return {
    model,
    outputs,
    baseModelName: baseModelName ?? '',
    method: withTrainedTokens(findMethod('lora'), tokens),
    settings,
    phase,
    tensors: new Map([...collectTensors(modules, loraScale(settings)), ...weights]),
    head: new Map([...(await changedHead(loaded, settings, base, folder)), ...loaded.head]),
    labelNames,
    ...(base.whole === undefined ? {} : { whole: base.whole }),
  }
}

const toAdaptedMatrices = (pair: ScaledPair | undefined): readonly AdaptedMatrix[] =>
  pair === undefined ? [] : [{ name: pair.name, d: pair.d, k: pair.k, r: pairRank(pair) }]

/** A factor in B brings all pairs to one scale. It is exactly 1 for our own adapters. */
const collectTensors = (pairs: ReadonlyMap<string, ScaledPair>, scale: number): ReadonlyMap<string, Weights> =>
  new Map(
    [...pairs].flatMap(([name, { A, B, magnitude, bias, scale: pairScale }]): readonly (readonly [string, Weights])[] => [
      [`${name}.A`, A],
      [`${name}.B`, pairScale === scale ? B : { ...B, data: B.data.map((x) => (x * pairScale) / scale) }],
      ...(magnitude === undefined ? [] : [[`${name}.magnitude`, magnitude] as const]),
      ...(bias === undefined ? [] : [[`${name}.bias`, bias] as const]),
    ]),
  )

/** The adapted matrices of the model's own head, merged: our adapters have heads whole. */
const changedHead = async (
  { headModules }: LoadedLowRank,
  settings: Settings & LoraSettings,
  base: ModelFolder,
  folder: string,
): Promise<ReadonlyMap<string, Weights>> => {
  const readBaseTensor = async (name: string, shape: readonly number[]): Promise<Weights> => {
    const entry = headTensor(base, name, shape)
    if (entry === undefined)
      throw inputError(folder, `a model with ${name} ${showShape(shape)}, which the adapter changes`, `none in ${base.folder}`)
    return { shape, data: await readTensor(entry) }
  }
  const tensors = collectTensors(headModules, loraScale(settings))
  const changed = new Map<string, Weights>()
  for (const [name, { d, k }] of headModules) {
    const { shape, data } = await readBaseTensor(`${name}.weight`, [d, k])
    const phase: LoraPhase = { matrices: [...toAdaptedMatrices(headModules.get(name))] }
    const merged = lora.export.merge?.(
      phase,
      settings,
      `${name}.weight`,
      () => data,
      (factor) => tensors.get(factor)?.data ?? [],
    )
    changed.set(`${name}.weight`, { shape, data: Float32Array.from(merged ?? data) })
    changed.set(`${name}.bias`, await readBaseTensor(`${name}.bias`, [d]))
  }
  return changed
}
