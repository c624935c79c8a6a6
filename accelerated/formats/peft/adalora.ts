/** AdaLoRA in PEFT's format: A, B and E of the remaining triplets, and the rank_pattern that lists them. */
import type { WritableTensor } from '../../checkpoints/safetensors/writeSafetensors.js'
import { adaloraScale, scaledColumns } from '../../methods/adalora/adalora.js'
import { type AdaloraPhase, planSchedule } from '../../methods/adalora/phase.js'
import { type AdaloraSettings, largestWeight } from '../../methods/adalora/settings.js'
import type { LoraPhase } from '../../methods/lora.js'
import type { AdaptedMatrix } from '../../methods/lowRank.js'
import { rowsName, withTrainedTokens } from '../../methods/trainedTokens.js'
import { findMethod, resolveSettings, type Settings } from '../../training/resolveSettings.js'
import type { Adapter, AdapterFormat, Weights } from '../adapter.js'
import { writeAddedTokens } from '../tokenizerFiles.js'
import { modulePath, modulesToSave, peftPrefix, tripletKeys, writeContents, adapterContents, headTensors } from './peft.js'
import { configText, fansInOut, isPeftType, sorted, loraConfig } from './peftConfig.js'
import { rowTensors, tokenKeys, parseTokenIndices, readRows } from './tokenRows.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import type { TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import type { TensorShape } from '../../models/architecture.js'
import type { Storage } from '../../storage/storage.js'
import { readWeights } from '../adapterTensors.js'
import { openAdapterFolder } from './adapterFolder.js'
import { targetedModules } from './loadPeft.js'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson } from '../../storage/json.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { largestWrittenAlpha } from '../../methods/lowRankSettings.js'
import { maxRunSteps, type CommonSettings } from '../../settings/commonSettings.js'

export const peftAdalora: AdapterFormat = {
  title: "PEFT's `ADALORA`",
  library: 'peft',
  write: async (folder, adapter, base, storage) => {
    await writeAddedTokens({ folder, storage }, base, adapter)
    const { model, baseModelName, outputs, head } = adapter
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
    const pattern = Object.fromEntries(triplets.map(({ name, kept }) => [`${path(name)}.lora_E`, kept]))
    const config = configText(
      { baseModelName, outputs, modulesToSave: modulesToSave(head) },
      {
        ...runConfig(getSettings(adapter), getPhase(adapter).steps),
        fan_in_fan_out: fansInOut(model, triplets),
        target_modules: triplets.map(({ name }) => path(name)),
        rank_pattern: getPhase(adapter).fixed === null ? null : sorted(pattern),
        ...tokenKeys(adapter),
      },
    )
    return writeContents(
      folder,
      adapterContents(adapter, [...factors, ...headTensors(model, head), ...rowTensors(adapter)], config),
      storage,
    )
  },
  read: async (folder, base, storage) => ((await isPeftType(folder, 'ADALORA', storage)) ? loadAdalora(folder, base, storage) : null),
  asLora: (adapter) => convertToLora(adapter),
}

/** Plain LoRA with E inside B. PEFT's scales differ too: alpha / (r + 1e-5) for AdaLoRA, alpha / r for LoRA. */
const convertToLora = (adapter: Adapter): Adapter => {
  const settings = getSettings(adapter)
  const { initR, loraAlpha, loraDropout } = settings
  const toLora = (adaloraScale(settings) * initR) / loraAlpha
  const triplets = remainingTriplets(adapter)
  const phase: LoraPhase = { matrices: triplets.map(({ name, d, k, E }) => ({ name, d, k, r: E.data.length })) }
  return {
    ...adapter,
    method: withTrainedTokens(findMethod('lora'), adapter.method.tokens ?? []),
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

const getSettings = ({ settings }: Adapter): AdaloraSettings => settings as Settings & AdaloraSettings
const getPhase = ({ phase }: Adapter): AdaloraPhase => phase as AdaloraPhase

type Triplets = AdaptedMatrix & { readonly kept: readonly boolean[] | null } & Readonly<Record<'A' | 'B' | 'E', Weights>>

/** Rows of A and E and columns of B of the remaining triplets. An adapter from a folder has no others. */
const remainingTriplets = (adapter: Adapter): readonly Triplets[] => {
  const { matrices, fixed } = getPhase(adapter)
  return matrices.map((matrix, i) => {
    const { name, d, k, r } = matrix
    const numbers = (factor: string): Float32Array => adapter.tensors.get(`${name}.${factor}`)?.data ?? new Float32Array(0)
    const kept = fixed?.kept[i] ?? null
    const rows = Array.from({ length: r }, (_, j) => j).filter((j) => r !== kept?.length || kept[j])
    return {
      ...matrix,
      kept,
      A: { shape: [rows.length, k], data: selectRows(numbers('A'), k, rows) },
      B: { shape: [d, rows.length], data: selectColumns(numbers('B'), r, rows) },
      E: { shape: [rows.length, 1], data: selectRows(numbers('E'), 1, rows) },
    }
  })
}

/** data: [rows, width] → [chosen, width] */
const selectRows = (data: Float32Array, width: number, chosen: readonly number[]): Float32Array =>
  Float32Array.from(chosen.flatMap((row) => [...data.subarray(row * width, (row + 1) * width)]))

/** data: [rows, width] → [rows, chosen] */
const selectColumns = (data: Float32Array, width: number, chosen: readonly number[]): Float32Array =>
  Float32Array.from(
    Array.from({ length: data.length / (width || 1) }, (_, row) => chosen.map((column) => data[row * width + column] ?? NaN)).flat(),
  )

/** @throws InputError if the configuration is not AdaLoRA's, or if a tensor is missing, unexpected, of another shape or not finite */
const loadAdalora = async (folder: string, base: ModelFolder, storage: Storage): Promise<Adapter> => {
  const { model } = base
  const { config, configFile, tensors, outputs, labelNames, checkTensors, readHead } = await openAdapterFolder(
    folder,
    base,
    parseAdaloraConfig,
    storage,
  )
  const adapted = adaptedMatrices(config, base, tensors, configFile)
  const named = parseTokenIndices(config.trainable_token_indices, model, outputs, tensors, configFile)
  checkTensors([...adapted.flatMap(listShapes), ...named.map(({ key, shape }) => [key, shape] as const)])
  const { tokens, weights } = await readRows(named, base, outputs, tensors, configFile)
  return {
    model,
    baseModelName: config.base_model_name_or_path ?? '',
    method: withTrainedTokens(findMethod('adalora'), tokens),
    settings: { ...resolveSettings({ method: 'adalora' }), ...runSettings(config) },
    phase: readPhase(config, adapted),
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
  const patterns = retainedTriplets(config, paths, configFile)
  const all = new Array<boolean>(config.init_r).fill(true)
  return modules.map(({ name, d, k, path }, i) => {
    const kept = patterns[i] ?? all
    return { name, d, k, r: kept.filter(Boolean).length, kept: [...kept], keys: tripletKeys(`${peftPrefix}${path}`) }
  })
}

const listShapes = ({ d, k, r, keys }: Adapted): readonly (readonly [string, TensorShape])[] => [
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

const readPhase = ({ total_step: steps, tfinal, rank_pattern: pattern }: AdaloraConfig, adapted: readonly Adapted[]): AdaloraPhase => ({
  matrices: adapted.map(({ name, d, k, r }) => ({ name, d, k, r })),
  steps,
  fixed: pattern == null ? null : { step: steps - tfinal + 1, kept: adapted.map(({ kept }) => [...kept]) },
})

const count = z.int().min(0).max(maxRunSteps)
const number = z.number().min(-largestWeight).max(largestWeight)

/** With PEFT's defaults. It ignores r, alpha_pattern and use_rslora, and an alpha of 0 or less means something else. */
const adaloraConfig = loraConfig.omit({ r: true, alpha_pattern: true, use_rslora: true }).extend({
  peft_type: z.literal('ADALORA'),
  init_r: z.int().min(1).max(65_536).default(12),
  target_r: count.default(8),
  lora_alpha: z.number().gt(0).max(largestWrittenAlpha),
  total_step: z.int().min(1).max(maxRunSteps),
  tinit: count.default(0),
  tfinal: count.default(0),
  deltaT: z.int().min(1).max(maxRunSteps).default(1),
  beta1: number.default(0.85),
  beta2: number.default(0.85),
  orth_reg_weight: number.default(0.5),
  rank_pattern: z.record(z.string().max(10_000), z.array(z.boolean())).nullish(),
  use_dora: z.literal(false).nullish(),
})

type AdaloraConfig = z.infer<typeof adaloraConfig>

/** Parses the text of an adapter_config.json. `where` is the file's name in messages. @throws InputError */
export const parseAdaloraConfig = (text: string, where: string): AdaloraConfig => {
  const config = validate<AdaloraConfig>(adaloraConfig, parseJson(text, where), where, 'an AdaLoRA configuration')
  const { tinit, tfinal, total_step: steps } = config
  if (tinit >= steps - tfinal) throw inputError(where, `tinit + tfinal below total_step ${steps}`, `${tinit} + ${tfinal}`)
  return config
}

/** Which triplets of each module remain; undefined for a module without a pattern. @throws InputError if a pattern fits no module or rank */
const retainedTriplets = (
  { rank_pattern: pattern, init_r: rank }: AdaloraConfig,
  paths: readonly string[],
  where: string,
): readonly (readonly boolean[] | undefined)[] => {
  const keys = paths.map((path) => `${path}.lora_E`)
  const stray = Object.keys(pattern ?? {}).find((key) => !keys.includes(key))
  if (stray !== undefined) throw inputError(where, 'a rank_pattern of adapted matrices', quoted(stray, 120))
  return keys.map((key) => {
    const kept = pattern?.[key]
    if (kept !== undefined && kept.length !== rank)
      throw inputError(where, `rank_pattern.${key} of init_r ${rank} triplets`, String(kept.length))
    return kept
  })
}

/** PEFT's keys for the settings of a run. PEFT needs a length and a schedule even for a run that stopped before its first step. */
const runConfig = (settings: AdaloraSettings, steps: number | null): Readonly<Record<string, unknown>> => {
  const { warmup, final } = steps === null ? { warmup: 0, final: 0 } : planSchedule(settings, steps)
  return {
    peft_type: 'ADALORA',
    init_r: settings.initR,
    target_r: settings.targetR,
    lora_alpha: settings.loraAlpha,
    total_step: steps ?? 1,
    tinit: warmup,
    tfinal: final,
    deltaT: settings.deltaT,
    beta1: settings.importanceBeta1,
    beta2: settings.importanceBeta2,
    orth_reg_weight: settings.orthRegWeight,
    lora_dropout: settings.loraDropout,
    bias: 'none',
    init_lora_weights: true,
  }
}

/** The settings of the run that wrote a configuration. PEFT bounds them less than we bound a user's, so they are not checked again. */
const runSettings = (
  config: AdaloraConfig,
): Omit<
  AdaloraSettings,
  keyof CommonSettings | 'targetModules' | 'excludeModules' | 'layersToTransform' | 'newTokens' | 'trainableTokens'
> => ({
  initR: config.init_r,
  targetR: config.target_r,
  loraAlpha: config.lora_alpha,
  loraDropout: config.lora_dropout ?? 0,
  tinitRatio: config.tinit / config.total_step,
  tfinalRatio: config.tfinal / config.total_step,
  deltaT: config.deltaT,
  importanceBeta1: config.beta1,
  importanceBeta2: config.beta2,
  orthRegWeight: config.orth_reg_weight,
})
