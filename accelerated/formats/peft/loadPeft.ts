/** Reads an adapter in PEFT's layout, ours or one that PEFT trained, and accounts for every tensor in it. */
import { join } from 'node:path'
import { z } from 'zod'
import { fileError, quoted } from '../../files/fileError.js'
import { parseJson, readText } from '../../files/jsonText.js'
import { readSafetensors, readTensor } from '../../files/safetensors/safetensors.js'
import { showShape, type TensorEntry } from '../../files/safetensors/safetensorsHeader.js'
import { fileInFolder } from '../../files/safetensors/weightFiles.js'
import { adapterModules, headTensorShapes, type AdapterModule, type EncoderConfig } from '../../models/encoderConfig.js'
import type { LowRankPair, Weights } from './adapter.js'
import { lookUpPattern, matchModules } from './modulePattern.js'
import { adapterFiles, headKey, peftPrefix } from './peft.js'
import { adapterConfigLimit, parsePeftConfig, type PeftConfig } from './peftConfig.js'

/** An adapter from disk. Each pair has its own scale, since PEFT lets rank and alpha differ by module. */
export type LoadedAdapter = {
  /** The encoder as given, with the outputs that the adapter's head has. */
  readonly config: EncoderConfig
  readonly baseModelName: string | undefined
  readonly rank: number
  readonly alpha: number
  /** ΔW = scale · B A by module path without the family's prefix. */
  readonly modules: ReadonlyMap<string, LowRankPair & { readonly scale: number }>
  /** Trained head tensors by canonical name; empty if the adapter brings none. */
  readonly head: ReadonlyMap<string, Weights>
  readonly labelNames: ReadonlyArray<string> | undefined
}

type PlannedModule = AdapterModule & { readonly rank: number; readonly scale: number; readonly key: string }

const namesSchema = z.object({
  labelNames: z.array(z.string().max(1_000)).max(1_000_000).nullable(),
  problem: z.enum(['classification', 'regression']),
})

/**
 * Loads the adapter in `folder` for an encoder of this shape. Throws FileError: not plain LoRA, a key missing or unexpected,
 * a shape that does not fit the encoder or the configured rank, a number that is not finite.
 */
export const loadAdapter = async (folder: string, config: EncoderConfig): Promise<LoadedAdapter> => {
  const configFile = await fileOf(folder, adapterFiles.config)
  const weightsFile = await fileOf(folder, adapterFiles.weights)
  const settings = parsePeftConfig(await readText(configFile, adapterConfigLimit), configFile)
  const { tensors } = await readSafetensors(weightsFile)
  const names = await readNames(await fileInFolder(folder, adapterFiles.names))
  const outputs = outputsIn(tensors, config)
  const problem = names?.problem ?? (outputs === undefined ? config.problem : outputs === 1 ? 'regression' : 'classification')
  const adapted: EncoderConfig = { ...config, labels: outputs ?? config.labels, problem }
  if (names?.labelNames && names.labelNames.length !== adapted.labels) {
    throw fileError(join(folder, adapterFiles.names), `${adapted.labels} labelNames`, `${names.labelNames.length}`)
  }

  const planned = plan(settings, adapted, tensors, configFile)
  const headShapes = expectedHead(settings, adapted, tensors)
  const expected = new Map<string, ReadonlyArray<number>>([
    ...planned.flatMap(
      ({ key, rank, d, k }): ReadonlyArray<readonly [string, ReadonlyArray<number>]> => [
        [`${key}.lora_A.weight`, [rank, k]],
        [`${key}.lora_B.weight`, [d, rank]],
      ],
    ),
    ...[...headShapes].map(([name, shape]) => [headKey(adapted, name), shape] as const),
  ])
  checkKeys(tensors, expected, weightsFile)

  const weightsAt = async (key: string): Promise<Weights> => readWeights(tensors.get(key)!)
  const modules = new Map<string, LowRankPair & { readonly scale: number }>()
  for (const { name, key, scale } of planned) {
    modules.set(name, { A: await weightsAt(`${key}.lora_A.weight`), B: await weightsAt(`${key}.lora_B.weight`), scale })
  }
  const head = new Map<string, Weights>()
  for (const name of headShapes.keys()) head.set(name, await weightsAt(headKey(adapted, name)))
  return {
    config: adapted,
    baseModelName: settings.base_model_name_or_path ?? undefined,
    rank: settings.r,
    alpha: settings.lora_alpha,
    modules,
    head,
    labelNames: names?.labelNames ?? undefined,
  }
}

/** The modules that the configuration adapts, each with its rank and scale: alpha_i / r_i, or alpha_i / √r_i (rank-stabilised). */
const plan = (
  settings: PeftConfig,
  config: EncoderConfig,
  tensors: ReadonlyMap<string, TensorEntry>,
  where: string,
): ReadonlyArray<PlannedModule> => {
  // an adapter trained on the bare encoder has paths without the family's name
  const bare = [...tensors.keys()].some((key) => key.startsWith(`${peftPrefix}encoder.`))
  const all = adapterModules(config)
  const paths = all.map(({ name }) => (bare ? name : `${config.family}.${name}`))
  const targeted = matchModules(settings.target_modules, paths, where)
  const excluded = matchModules(settings.exclude_modules ?? [], paths, where)
  const ranks = lookUpPattern(settings.rank_pattern ?? {}, paths, where)
  const alphas = lookUpPattern(settings.alpha_pattern ?? {}, paths, where)
  const planned = all.flatMap((module, i) => {
    if (!targeted[i] || excluded[i]) return []
    const rank = ranks[i] ?? settings.r
    const alpha = alphas[i] ?? settings.lora_alpha
    return [{ ...module, rank, scale: alpha / (settings.use_rslora ? Math.sqrt(rank) : rank), key: `${peftPrefix}${paths[i]}` }]
  })
  if (planned.length === 0) {
    throw fileError(
      where,
      `target_modules that mean a matrix of the ${config.family} encoder`,
      quoted(JSON.stringify(settings.target_modules)),
    )
  }
  return planned
}

/** The outputs of the head in the file; undefined if it has no last layer. */
const outputsIn = (tensors: ReadonlyMap<string, TensorEntry>, config: EncoderConfig): number | undefined =>
  tensors.get(headKey(config, config.family === 'roberta' ? 'classifier.out_proj.weight' : 'classifier.weight'))?.shape[0]

/** A head is whole or absent; the modules that the configuration says were saved must be there. */
const expectedHead = (
  settings: PeftConfig,
  config: EncoderConfig,
  tensors: ReadonlyMap<string, TensorEntry>,
): ReadonlyMap<string, ReadonlyArray<number>> => {
  const saved = new Set(settings.modules_to_save ?? [])
  const parts = ['classifier.', 'pooler.']
  const wanted = parts.filter((part) => {
    const inFile = [...headTensorShapes(config).keys()].some((name) => name.startsWith(part) && tensors.has(headKey(config, name)))
    // PEFT adds "classifier" for every sequence classifier, so such an adapter has one
    return inFile || saved.has(part.slice(0, -1))
  })
  return new Map([...headTensorShapes(config)].filter(([name]) => wanted.some((part) => name.startsWith(part))))
}

const checkKeys = (tensors: ReadonlyMap<string, TensorEntry>, expected: ReadonlyMap<string, ReadonlyArray<number>>, file: string): void => {
  for (const [key, shape] of expected) {
    const entry = tensors.get(key)
    if (entry === undefined) throw fileError(file, `tensor ${key} ${showShape(shape)}`, 'none of that name')
    if (entry.shape.join() !== shape.join()) throw fileError(file, `tensor ${key} of shape ${showShape(shape)}`, showShape(entry.shape))
  }
  const stray = [...tensors.keys()].find((key) => !expected.has(key))
  if (stray !== undefined)
    throw fileError(file, `only the ${expected.size} tensors that ${adapterFiles.config} describes`, quoted(stray, 120))
}

const readWeights = async (entry: TensorEntry): Promise<Weights> => {
  const data = await readTensor(entry)
  const at = data.findIndex((x) => !Number.isFinite(x))
  if (at >= 0) throw fileError(entry.file, `finite numbers in ${entry.name}`, `${data[at]} at ${at}`)
  return { shape: entry.shape, data }
}

/** The path of a file that must be there; like those of a model, it may be a link only within its folder or the hub's cache. */
const fileOf = async (folder: string, name: string): Promise<string> => {
  const file = await fileInFolder(folder, name)
  if (file === undefined) throw fileError(join(folder, name), 'a readable file', 'none (no such file or folder)')
  return file
}

const readNames = async (file: string | undefined): Promise<z.infer<typeof namesSchema> | undefined> => {
  if (file === undefined) return undefined
  const parsed = namesSchema.safeParse(parseJson(await readText(file, adapterConfigLimit), file))
  if (!parsed.success)
    throw fileError(file, 'labelNames and problem as salora writes them', parsed.error.issues[0]?.message ?? 'something else')
  return parsed.data
}
