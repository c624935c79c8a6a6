/** AdaLoRA in PEFT's layout: A, B and E of the triplets that are left, and the rank_pattern that says which. */
import { join } from 'node:path'
import { readText } from '../../storage/boundedJson.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { readSafetensors, type TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import { writeSafetensors, type WritableTensor } from '../../checkpoints/safetensors/writeSafetensors.js'
import { adaloraScale, scaledColumns } from '../../methods/adalora/adalora.js'
import type { AdaloraPhase } from '../../methods/adalora/phase.js'
import type { AdaloraSettings } from '../../methods/adalora/settings.js'
import type { LoraPhase } from '../../methods/lora.js'
import type { AdaptedMatrix } from '../../methods/lowRank.js'
import { methodOf, resolveSettings, type Settings } from '../../training/settings.js'
import type { Adapter, AdapterFormat, Weights } from '../adapter.js'
import {
  adapterConfigLimit,
  checkKeys,
  fileOf,
  headShapesIn,
  namesText,
  outputsIn,
  readAll,
  readNames,
  readWeights,
} from '../adapterTensors.js'
import { keptTriplets, parseAdaloraConfig, runConfig, runSettings } from './adaloraConfig.js'
import { targetedModules } from './loadPeft.js'
import { adapterFiles, headKey, modulesToSave, peftPrefix, writeContents } from './peft.js'
import { configText, isPeftType, sorted, fansInOut } from './peftConfig.js'

export const peftAdalora: AdapterFormat = {
  title: "PEFT's `ADALORA`",
  library: 'peft',

  write: (folder, adapter) => {
    const { model, baseModelName, outputs, head, labelNames } = adapter
    const path = (name: string): string => `${model.naming.prefix}${name}`
    const left = tripletsLeft(adapter)
    const factors = left.flatMap(({ name, A, B, E }): ReadonlyArray<readonly [string, WritableTensor]> => {
      const keys = keysAt(`${peftPrefix}${path(name)}`)
      return [
        [keys.A, A],
        [keys.B, B],
        [keys.E, E],
      ]
    })
    const heads = [...head].map(([name, weights]): readonly [string, WritableTensor] => [headKey(model, name), weights])
    return writeContents(folder, {
      weights: writeSafetensors(new Map([...factors, ...heads]), { format: 'pt' }),
      namesText: namesText(outputs, labelNames),
      configText: configText(
        { baseModelName, outputs, modulesToSave: modulesToSave(head) },
        {
          ...runConfig(settingsOf(adapter), phaseOf(adapter).steps),
          fan_in_fan_out: fansInOut(
            model,
            left.map(({ name }) => name),
          ),
          target_modules: left.map(({ name }) => path(name)),
          rank_pattern:
            phaseOf(adapter).fixed === null
              ? null
              : sorted(Object.fromEntries(left.map(({ name, kept }) => [`${path(name)}.lora_E`, kept]))),
        },
      ),
    })
  },

  read: async (folder, base) => ((await isPeftType(join(folder, adapterFiles.config), 'ADALORA')) ? readAdalora(folder, base) : null),

  // E goes into B, and so does what is between PEFT's two scales: alpha / (r + 1e-5) here, alpha / r there.
  asLora: (adapter) => {
    const settings = settingsOf(adapter)
    const { initR, loraAlpha, loraDropout } = settings
    const toLora = (adaloraScale(settings) * initR) / loraAlpha
    const left = tripletsLeft(adapter)
    const phase: LoraPhase = { matrices: left.map(({ name, d, k, E }) => ({ name, d, k, r: E.data.length })) }
    return {
      ...adapter,
      method: methodOf('lora'),
      settings: { ...resolveSettings({ method: 'lora' }), rank: initR, loraAlpha, loraDropout },
      phase,
      tensors: new Map(
        left.flatMap(
          ({ name, A, B, E }): ReadonlyArray<readonly [string, Weights]> => [
            [`${name}.A`, A],
            [`${name}.B`, { ...B, data: Float32Array.from(scaledColumns(B.data, E.data), (b) => toLora * b) }],
          ],
        ),
      ),
    }
  },
}

const settingsOf = ({ settings }: Adapter): AdaloraSettings => settings as Settings & AdaloraSettings
const phaseOf = ({ phase }: Adapter): AdaloraPhase => phase as AdaloraPhase

const keysAt = (at: string) => ({ A: `${at}.lora_A`, B: `${at}.lora_B`, E: `${at}.lora_E` }) as const

type Triplets = AdaptedMatrix & { readonly kept: ReadonlyArray<boolean> | null } & Readonly<Record<'A' | 'B' | 'E', Weights>>

/** Rows of A and E and columns of B of the triplets that are left. An adapter from a folder has no others. */
const tripletsLeft = (adapter: Adapter): ReadonlyArray<Triplets> => {
  const { matrices, fixed } = phaseOf(adapter)
  return matrices.map((matrix, i) => {
    const { name, d, k, r } = matrix
    const numbers = (of: string): Float32Array => adapter.tensors.get(`${name}.${of}`)?.data ?? new Float32Array(0)
    const kept = fixed?.kept[i] ?? null
    const own = Array.from({ length: r }, (_, j) => j).filter((j) => r !== kept?.length || kept[j])
    return {
      ...matrix,
      kept,
      A: { shape: [own.length, k], data: rowsOf(numbers('A'), k, own) },
      B: { shape: [d, own.length], data: columnsOf(numbers('B'), r, own) },
      E: { shape: [own.length, 1], data: rowsOf(numbers('E'), 1, own) },
    }
  })
}

/** data: [rows, width] → [chosen, width] */
const rowsOf = (data: Float32Array, width: number, chosen: ReadonlyArray<number>): Float32Array =>
  Float32Array.from(chosen.flatMap((row) => [...data.subarray(row * width, (row + 1) * width)]))

/** data: [rows, width] → [rows, chosen] */
const columnsOf = (data: Float32Array, width: number, chosen: ReadonlyArray<number>): Float32Array =>
  Float32Array.from(
    Array.from({ length: data.length / (width || 1) }, (_, row) => chosen.map((column) => data[row * width + column] ?? NaN)).flat(),
  )

const readAdalora = async (folder: string, { model, outputs: given }: ModelFolder): Promise<Adapter> => {
  const [configFile, weightsFile] = [await fileOf(folder, adapterFiles.config), await fileOf(folder, adapterFiles.weights)]
  const config = parseAdaloraConfig(await readText(configFile, adapterConfigLimit), configFile)
  const { tensors } = await readSafetensors(weightsFile)
  const names = await readNames(folder)
  const keyOf = (name: string): string => headKey(model, name)
  const outputs = outputsIn(tensors, keyOf, model, given, { names, task: config.task_type }, folder)
  const modules = targetedModules(config, model.spec.matrices, model, tensors, configFile)
  const patterns = keptTriplets(
    config,
    modules.map(({ path }) => path),
    configFile,
  )
  const all = new Array<boolean>(config.init_r).fill(true)
  const kept = patterns.map((pattern) => pattern ?? all)
  const planned = modules.map(({ name, d, k, path }, i) => ({
    name,
    d,
    k,
    r: kept[i]?.filter(Boolean).length ?? 0,
    keys: keysAt(`${peftPrefix}${path}`),
  }))
  const headShapes = headShapesIn(tensors, keyOf, model, outputs, config.modules_to_save ?? [])
  checkKeys(
    tensors,
    new Map([
      ...planned.flatMap(
        ({ d, k, r, keys }) =>
          [
            [keys.A, [r, k]],
            [keys.B, [d, r]],
            [keys.E, [r, 1]],
          ] as const,
      ),
      ...[...headShapes].map(([name, shape]) => [keyOf(name), shape] as const),
    ]),
    weightsFile,
    adapterFiles.config,
  )
  const own = new Map<string, Weights>()
  for (const { name, keys } of planned)
    for (const [of, key] of Object.entries(keys)) own.set(`${name}.${of}`, await readWeights(tensors.get(key) as TensorEntry))
  const { total_step: steps, tfinal } = config
  const phase: AdaloraPhase = {
    matrices: planned.map(({ name, d, k, r }) => ({ name, d, k, r })),
    steps,
    fixed: config.rank_pattern == null ? null : { step: steps - tfinal + 1, kept: kept.map((triplets) => [...triplets]) },
  }
  return {
    model,
    baseModelName: config.base_model_name_or_path ?? '',
    method: methodOf('adalora'),
    settings: { ...resolveSettings({ method: 'adalora' }), ...runSettings(config) },
    phase,
    tensors: own,
    outputs,
    head: await readAll(tensors, headShapes.keys(), keyOf),
    labelNames: names?.labelNames ?? undefined,
  }
}
