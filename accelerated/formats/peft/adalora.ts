/** AdaLoRA in PEFT's format: A, B and E of the remaining triplets, and the rank_pattern that lists them. */
import { writeSafetensors, type WritableTensor } from '../../checkpoints/safetensors/writeSafetensors.js'
import { adaloraScale, scaledColumns } from '../../methods/adalora/adalora.js'
import type { AdaloraPhase } from '../../methods/adalora/phase.js'
import type { AdaloraSettings } from '../../methods/adalora/settings.js'
import type { LoraPhase } from '../../methods/lora.js'
import type { AdaptedMatrix } from '../../methods/lowRank.js'
import { rowsName, withTrainedTokens } from '../../methods/trainedTokens.js'
import { methodOf, resolveSettings, type Settings } from '../../training/settings.js'
import type { Adapter, AdapterFormat, Weights } from '../adapter.js'
import { namesText } from '../namesFile.js'
import { writeAddedTokens } from '../tokenizerFiles.js'
import { runConfig } from './adaloraConfig.js'
import { loadAdalora } from './loadAdalora.js'
import { headKey, modulePath, modulesToSave, peftPrefix, tripletKeys, writeContents } from './peft.js'
import { configText, fansInOut, isPeftType, sorted } from './peftConfig.js'
import { rowTensors, tokenKeys } from './tokenRows.js'

export const peftAdalora: AdapterFormat = {
  title: "PEFT's `ADALORA`",
  library: 'peft',
  write: async (folder, adapter, base, storage) => {
    await writeAddedTokens({ folder, storage }, base, adapter)
    const { model, baseModelName, outputs, head, labelNames } = adapter
    const path = (name: string): string => modulePath(model, outputs, name)
    const triplets = remainingTriplets(adapter)
    const factors = triplets.flatMap(({ name, A, B, E }): readonly (readonly [string, WritableTensor])[] => {
      const keys = tripletKeys(`${peftPrefix}${path(name)}`)
      return [
        [keys.A, A],
        [keys.B, B],
        [keys.E, E],
      ]
    })
    const heads = [...head].map(([name, weights]): readonly [string, WritableTensor] => [headKey(model, name), weights])
    const pattern = Object.fromEntries(triplets.map(({ name, kept }) => [`${path(name)}.lora_E`, kept]))
    const contents = {
      weights: writeSafetensors(new Map<string, WritableTensor>([...factors, ...heads, ...rowTensors(adapter)]), { format: 'pt' }),
      namesText: namesText(model, outputs, labelNames),
      configText: configText(
        { baseModelName, outputs, modulesToSave: modulesToSave(head) },
        {
          ...runConfig(settingsOf(adapter), phaseOf(adapter).steps),
          fan_in_fan_out: fansInOut(model, triplets),
          target_modules: triplets.map(({ name }) => path(name)),
          rank_pattern: phaseOf(adapter).fixed === null ? null : sorted(pattern),
          ...tokenKeys(adapter),
        },
      ),
    }
    return writeContents(folder, contents, storage)
  },
  read: async (folder, base, storage) => ((await isPeftType(folder, 'ADALORA', storage)) ? loadAdalora(folder, base, storage) : null),
  asLora: (adapter) => loraOf(adapter),
}

/** Plain LoRA with E inside B. PEFT's scales differ too: alpha / (r + 1e-5) for AdaLoRA, alpha / r for LoRA. */
const loraOf = (adapter: Adapter): Adapter => {
  const settings = settingsOf(adapter)
  const { initR, loraAlpha, loraDropout } = settings
  const toLora = (adaloraScale(settings) * initR) / loraAlpha
  const triplets = remainingTriplets(adapter)
  const phase: LoraPhase = { matrices: triplets.map(({ name, d, k, E }) => ({ name, d, k, r: E.data.length })) }
  return {
    ...adapter,
    method: withTrainedTokens(methodOf('lora'), adapter.method.tokens ?? []),
    settings: { ...resolveSettings({ method: 'lora' }), rank: initR, loraAlpha, loraDropout },
    phase,
    tensors: new Map([
      ...triplets.flatMap(({ name, A, B, E }): readonly (readonly [string, Weights])[] => [
        [`${name}.A`, A],
        [`${name}.B`, { ...B, data: Float32Array.from(scaledColumns(B.data, E.data), (b) => toLora * b) }],
      ]),
      ...tokenTensors(adapter),
    ]),
  }
}

/** The rows of tokens among the adapter's tensors, by name. */
const tokenTensors = ({ method: { tokens = [] }, tensors }: Adapter): readonly (readonly [string, Weights])[] =>
  tokens.flatMap(({ table }) => {
    const weights = tensors.get(rowsName(table))
    return weights === undefined ? [] : [[rowsName(table), weights] as const]
  })

const settingsOf = ({ settings }: Adapter): AdaloraSettings => settings as Settings & AdaloraSettings
const phaseOf = ({ phase }: Adapter): AdaloraPhase => phase as AdaloraPhase

type Triplets = AdaptedMatrix & { readonly kept: readonly boolean[] | null } & Readonly<Record<'A' | 'B' | 'E', Weights>>

/** Rows of A and E and columns of B of the remaining triplets. An adapter from a folder has no others. */
const remainingTriplets = (adapter: Adapter): readonly Triplets[] => {
  const { matrices, fixed } = phaseOf(adapter)
  return matrices.map((matrix, i) => {
    const { name, d, k, r } = matrix
    const numbers = (factor: string): Float32Array => adapter.tensors.get(`${name}.${factor}`)?.data ?? new Float32Array(0)
    const kept = fixed?.kept[i] ?? null
    const rows = Array.from({ length: r }, (_, j) => j).filter((j) => r !== kept?.length || kept[j])
    return {
      ...matrix,
      kept,
      A: { shape: [rows.length, k], data: rowsOf(numbers('A'), k, rows) },
      B: { shape: [d, rows.length], data: columnsOf(numbers('B'), r, rows) },
      E: { shape: [rows.length, 1], data: rowsOf(numbers('E'), 1, rows) },
    }
  })
}

/** data: [rows, width] → [chosen, width] */
const rowsOf = (data: Float32Array, width: number, chosen: readonly number[]): Float32Array =>
  Float32Array.from(chosen.flatMap((row) => [...data.subarray(row * width, (row + 1) * width)]))

/** data: [rows, width] → [rows, chosen] */
const columnsOf = (data: Float32Array, width: number, chosen: readonly number[]): Float32Array =>
  Float32Array.from(
    Array.from({ length: data.length / (width || 1) }, (_, row) => chosen.map((column) => data[row * width + column] ?? NaN)).flat(),
  )
