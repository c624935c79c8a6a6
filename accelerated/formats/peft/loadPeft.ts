/** Reads a low-rank adapter in PEFT's layout, ours or one that PEFT trained, and accounts for every tensor in it. */
import { inputError, shown } from '../../errors/inputError.js'
import { readText } from '../../storage/boundedJson.js'
import { readSafetensors, type TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import { allLinear } from '../../methods/lowRank.js'
import type { Matrix, Model, TensorShape } from '../../models/architecture.js'
import { headOf, type TaskOutputs } from '../../objectives/taskType.js'
import type { Weights } from '../adapter.js'
import { adapterConfigLimit, checkKeys, fileOf, headShapesIn, outputsIn, readAll, readNames, readWeights } from '../adapterTensors.js'
import type { LowRankPair } from './lowRankAdapter.js'
import { lookUpPattern, matchModules } from './modulePattern.js'
import { adapterFiles, headKey, pairKeys, peftPrefix } from './peft.js'
import { parsePeftConfig, type PeftConfig } from './peftConfig.js'

/** An adapter from disk. Each pair has its own scale, since PEFT lets rank and alpha differ by module. */
export type LoadedLowRank = {
  readonly model: Model
  /** those that the adapter's head has, else those given */
  readonly outputs: TaskOutputs
  readonly baseModelName: string | undefined
  readonly rank: number
  readonly alpha: number
  readonly rslora: boolean
  readonly dora: boolean
  readonly dropout: number
  /** ΔW = scale · B A by module path without the family's prefix. */
  readonly modules: ReadonlyMap<string, ScaledPair>
  /** The same of matrices of the head: PEFT's `all-linear` puts a pair on BERT's pooler, where its classifier is saved whole. */
  readonly headModules: ReadonlyMap<string, ScaledPair>
  /** Trained head tensors by canonical name; empty if the adapter brings none. */
  readonly head: ReadonlyMap<string, Weights>
  readonly labelNames: ReadonlyArray<string> | undefined
}

export type ScaledPair = Matrix & LowRankPair & { readonly scale: number }

type PlannedModule = Matrix & { readonly rank: number; readonly scale: number; readonly key: string }

/**
 * Loads the adapter in `folder` for a model of this shape. Throws Mistake: not plain LoRA, a key missing or unexpected,
 * a shape that does not fit the model or the configured rank, a number that is not finite.
 */
export const loadLowRank = async (folder: string, model: Model, given: TaskOutputs): Promise<LoadedLowRank> => {
  const configFile = await fileOf(folder, adapterFiles.config)
  const weightsFile = await fileOf(folder, adapterFiles.weights)
  const settings = parsePeftConfig(await readText(configFile, adapterConfigLimit), configFile)
  const { tensors } = await readSafetensors(weightsFile)
  const names = await readNames(folder)
  const keyOf = (name: string): string => headKey(model, name)
  const outputs = outputsIn(tensors, keyOf, model, given, { names, task: settings.task_type }, folder)
  const dora = settings.use_dora === true
  const planned = plan(settings, model, outputs, tensors, configFile)
  // PEFT adds "classifier" for every sequence classifier, so such an adapter has one
  const headShapes = headShapesIn(tensors, keyOf, model, outputs, settings.modules_to_save ?? [])
  const factors = planned.flatMap(({ key, rank, d, k }): ReadonlyArray<readonly [string, TensorShape]> => {
    const keys = pairKeys(key)
    return [[keys.A, [rank, k]], [keys.B, [d, rank]], ...(dora ? [[keys.magnitude, [d]] as const] : [])]
  })
  const heads = [...headShapes].map(([name, shape]): readonly [string, TensorShape] => [keyOf(name), shape])
  checkKeys(tensors, new Map([...factors, ...heads]), weightsFile, adapterFiles.config)

  const weightsAt = (key: string): Promise<Weights> => readWeights(tensors.get(key) as TensorEntry)
  const pairs = new Map<string, ScaledPair>()
  for (const { name, d, k, key, scale } of planned) {
    const keys = pairKeys(key)
    const magnitude = dora ? { magnitude: await weightsAt(keys.magnitude) } : {}
    pairs.set(name, { name, d, k, scale, A: await weightsAt(keys.A), B: await weightsAt(keys.B), ...magnitude })
  }
  const inEncoder = new Set(model.spec.matrices.map(({ name }) => name))
  return {
    model,
    outputs,
    baseModelName: settings.base_model_name_or_path ?? undefined,
    rank: settings.r,
    alpha: settings.lora_alpha,
    rslora: settings.use_rslora === true,
    dora,
    dropout: settings.lora_dropout ?? 0,
    modules: new Map([...pairs].filter(([name]) => inEncoder.has(name))),
    headModules: new Map([...pairs].filter(([name]) => !inEncoder.has(name))),
    head: await readAll(tensors, headShapes.keys(), keyOf),
    labelNames: names?.labelNames ?? undefined,
  }
}

/** The modules that the configuration adapts, each with its rank and scale: alpha_i / r_i, or alpha_i / √r_i (rank-stabilized). */
const plan = (
  settings: PeftConfig,
  model: Model,
  outputs: TaskOutputs,
  tensors: ReadonlyMap<string, TensorEntry>,
  where: string,
): ReadonlyArray<PlannedModule> => {
  const modules = targetedModules(settings, [...model.spec.matrices, ...unsavedOfHead(model, outputs, settings)], model, tensors, where)
  const paths = modules.map(({ path }) => path)
  const ranks = lookUpPattern(settings.rank_pattern ?? {}, paths, where)
  const alphas = lookUpPattern(settings.alpha_pattern ?? {}, paths, where)
  return modules.map(({ path, ...module }, i) => {
    const rank = ranks[i] ?? settings.r
    const alpha = alphas[i] ?? settings.lora_alpha
    return { ...module, rank, scale: alpha / (settings.use_rslora ? Math.sqrt(rank) : rank), key: `${peftPrefix}${path}` }
  })
}

/** Those of the matrices that the configuration adapts, with their paths in the base model. @throws Mistake where there is none */
export const targetedModules = (
  settings: Pick<PeftConfig, 'target_modules' | 'exclude_modules' | 'fan_in_fan_out'>,
  matrices: ReadonlyArray<Matrix>,
  model: Model,
  tensors: ReadonlyMap<string, TensorEntry>,
  where: string,
): ReadonlyArray<Matrix & { readonly path: string }> => {
  // an adapter trained on the bare model has paths without the family's name
  const bare = matrices.some(({ name }) => tensors.has(pairKeys(`${peftPrefix}${name}`).A))
  const paths = matrices.map(({ name }) => (bare ? name : model.naming.stored(name)))
  const targeted =
    settings.target_modules === allLinear
      ? paths.map((path) => tensors.has(pairKeys(`${peftPrefix}${path}`).A)) // of the head PEFT takes what it does not save whole, but for the output
      : matchModules(settings.target_modules, paths, where)
  const excluded = matchModules(settings.exclude_modules ?? [], paths, where)
  const modules = matrices.flatMap((module, i) => (targeted[i] && !excluded[i] ? [{ ...module, path: paths[i] ?? '' }] : []))
  if (settings.fan_in_fan_out === true && modules.some(({ name }) => model.transposed?.(`${name}.weight`) !== true))
    throw inputError(where, 'a plain LoRA configuration whose fan_in_fan_out is false', 'true')
  if (modules.length > 0) return modules
  throw inputError(where, `target_modules that mean a matrix of the ${model.type} ${model.spec.kind}`, shown(settings.target_modules))
}

/** The head's matrices, but for those of the parts that are saved whole: PEFT adapts no module that it saves. */
const unsavedOfHead = (
  model: Model,
  outputs: TaskOutputs,
  { modules_to_save: saved }: Pick<PeftConfig, 'modules_to_save'>,
): ReadonlyArray<Matrix> =>
  [...headOf(model, outputs).tensors].flatMap(([tensor, [d = 1, k]]) => {
    const name = tensor.replace(/\.weight$/, '')
    return k === undefined || saved?.includes(name.split('.')[0] ?? '') ? [] : [{ name, d, k }]
  })
