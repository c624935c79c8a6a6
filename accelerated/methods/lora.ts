/** LoRA (Hu et al., 2022): ΔW = α / r · B A on the chosen matrices, optionally with rsLoRA's scale or DoRA's magnitudes. */
import { z } from 'zod'
import type { TensorSource } from '../models/host.js'
import { settingGroup, type SettingValues } from '../settings/setting.js'
import { weightGroupsOf, type CommonSettings } from '../settings/commonSettings.js'
import { doraWrap, magnitudeCount, magnitudeTensors, mergeMagnitude } from './dora.js'
import {
  adaptedMatrices,
  factorCount,
  factorTensors,
  lowRankWrap,
  matricesSchema,
  matrixOfWeight,
  mergeProduct,
  type LowRankFactors,
} from './lowRank.js'
import { largestRank, lowRankSettings } from './lowRankSettings.js'
import type { Method } from './method.js'

export const loraSettings = {
  ...lowRankSettings,
  ...settingGroup('LoRA options', {
    useRslora: {
      kind: 'switch',
      description: 'Scale updates by alpha / √rank instead of alpha / rank (rsLoRA)',
      schema: z.boolean().default(false),
    },
    useDora: {
      kind: 'switch',
      description: 'Train the length of each weight row separately from its direction (DoRA)',
      schema: z.boolean().default(false),
    },
    rankPattern: {
      kind: 'file',
      placeholder: 'file',
      description: 'JSON file of ranks by matrix, as salora rank-pattern prints them; rank 0 skips a matrix',
      defaultText: 'the same rank everywhere',
      schema: z.record(z.string().min(1), z.int().min(0).max(largestRank)).nullable().default(null),
    },
  }),
}

export type LoraSettings = SettingValues<typeof loraSettings> & CommonSettings

export const loraPhase = z.strictObject({ matrices: matricesSchema })
export type LoraPhase = z.infer<typeof loraPhase>

/** α / r, or with rsLoRA α / √r (Kalajdzievski, 2023). The same for all matrices, also with a rank pattern. */
export const loraScale = ({ loraAlpha, rank, useRslora }: Pick<LoraSettings, 'loraAlpha' | 'rank' | 'useRslora'>): number =>
  loraAlpha / (useRslora ? Math.sqrt(rank) : rank)

export const lora: Method<LoraSettings, LoraPhase> = {
  name: 'lora',
  summary: 'low-rank adaptation at a fixed rank',
  settings: loraSettings,
  train: {
    tensors: ({ matrices }, settings) => {
      const magnitudes = settings.useDora ? magnitudeTensors(matrices, weightGroupsOf(settings).undecayed) : []
      return [...factorTensors(matrices, settings), ...magnitudes]
    },
    wrap: ({ matrices }, settings, parameter) => {
      const each = <F>(of: (name: string) => F): ReadonlyMap<string, F> => new Map(matrices.map(({ name }) => [name, of(name)]))
      const factors = factorsOf(settings, parameter)
      if (!settings.useDora) return lowRankWrap(each(factors), settings.loraDropout)
      return doraWrap(
        each((name) => ({ ...factors(name), magnitude: parameter(`${name}.magnitude`) })),
        settings.loraDropout,
      )
    },
  },
  phases: {
    schema: loraPhase,
    start: (spec, settings) => ({ matrices: [...adaptedMatrices(spec, settings)] }),
    validate: ({ matrices }, start) =>
      JSON.stringify(matrices) === JSON.stringify(start.matrices)
        ? null
        : { expected: 'the adapted matrices of its start', got: `${matrices.length} others` },
  },
  reporting: {
    parameterCounts: ({ matrices }, { useDora }) => ({ adapter: factorCount(matrices) + (useDora ? magnitudeCount(matrices) : 0) }),
    result: ({ matrices }) => ({ ranks: Object.fromEntries(matrices.map(({ name, r }) => [name, r])) }),
  },
  export: {
    format: 'peftLora',
    merge: ({ matrices }, settings, name, tensor, trained) => {
      const matrix = matrixOfWeight(matrices, name)
      if (matrix === undefined) return null
      const merged = mergeProduct(tensor(), trained(`${matrix.name}.A`), trained(`${matrix.name}.B`), matrix, loraScale(settings))
      return settings.useDora ? mergeMagnitude(merged, trained(`${matrix.name}.magnitude`), matrix) : merged
    },
  },
}

const factorsOf =
  (settings: LoraSettings, parameter: TensorSource) =>
  (name: string): LowRankFactors => ({ A: parameter(`${name}.A`), B: parameter(`${name}.B`), g: null, scale: loraScale(settings) })
