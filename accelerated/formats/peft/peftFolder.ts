/** The `peft` and `peft-padded` exports: the adapter alone, in PEFT's layout, checked by having been read. */
import { padToRank, rankOf, type Adapter, type LowRankPair } from './adapter.js'
import type { LoadedAdapter } from './loadPeft.js'
import { saveAdapter } from './peft.js'
import { adapterModules } from '../../models/encoderConfig.js'

/** Compact: each matrix at the rank it has, in patterns; matrices of rank 0 are absent. Throws FileError. */
export const writePeftFolder = (folder: string, adapter: LoadedAdapter, labelNames: ReadonlyArray<string> | undefined): Promise<void> =>
  saveAdapter(folder, adapterAtOneScale(adapter, labelNames))

/**
 * Padded: one rank, one alpha and no patterns, for servers that ignore patterns; zero rows and columns change nothing. `targeted`: the
 * matrices that training adapted; those it left at rank 0 become pairs of zeros. Throws FileError.
 */
export const writePaddedFolder = (
  folder: string,
  adapter: LoadedAdapter,
  labelNames: ReadonlyArray<string> | undefined,
  targeted: ReadonlyArray<string>,
): Promise<void> => {
  const { modules, ...rest } = adapterAtOneScale(adapter, labelNames)
  const empty = adapterModules(adapter.config)
    .filter(({ name }) => targeted.includes(name) && !modules.has(name))
    .map(({ name, d, k }): readonly [string, LowRankPair] => [
      name,
      { A: { shape: [0, k], data: new Float32Array(0) }, B: { shape: [d, 0], data: new Float32Array(0) } },
    ])
  const widest = Math.max(rest.rank, ...[...modules.values()].map(rankOf)) // PEFT allows a pattern above r
  return saveAdapter(
    folder,
    padToRank({ ...rest, rank: widest, alpha: (rest.alpha * widest) / rest.rank, modules: new Map([...modules, ...empty]) }),
  )
}

/** Every pair at the scale alpha / r. For adapters trained here the factor in B is exactly 1. */
const adapterAtOneScale = (
  { config, baseModelName, rank, alpha, modules, head, labelNames }: LoadedAdapter,
  names: ReadonlyArray<string> | undefined,
): Adapter => {
  const scale = alpha / rank || 1
  const known = labelNames ?? names
  return {
    config,
    rank,
    alpha: scale * rank,
    baseModelName: baseModelName ?? '',
    head,
    modules: new Map(
      [...modules].map(([name, pair]) => [
        name,
        pair.scale === scale ? pair : { A: pair.A, B: { ...pair.B, data: pair.B.data.map((x) => (x * pair.scale) / scale) } },
      ]),
    ),
    ...(known === undefined ? {} : { labelNames: known }),
  }
}
