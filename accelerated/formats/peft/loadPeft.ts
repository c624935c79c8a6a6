/** Reads a low-rank adapter in PEFT's format, ours or one that PEFT trained. Every tensor of the file is accounted for. */
import type { WholeModules } from '../../checkpoints/modelFolder.js'
import type { TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import { inputError, formatValue, quoted, reason } from '../../errors/inputError.js'
import { allLinear } from '../../methods/targetedMatrices.js'
import type { Matrix, Model, TensorShape } from '../../models/architecture.js'
import { adaptableMatrices, matrixOf, outputTable, wordTables } from '../../models/wordTables.js'
import { selectHead, type ModelOutputs } from '../../models/modelOutputs.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import type { Storage } from '../../storage/storage.js'
import type { Weights } from '../adapter.js'
import { readWeights } from '../adapterTensors.js'
import { openAdapterFolder } from './adapterFolder.js'
import { type LowRankPair, pairKeys, pairParts, peftPrefix, transposedWeights } from './peft.js'
import { parseTokenIndices, type NamedRows } from './tokenRows.js'
import { fansInOut, merging, parsePeftConfig, type PeftConfig } from './peftConfig.js'
import { matchInTime } from '../../engines/inNode.js'

type Entries = ReadonlyMap<string, TensorEntry>

/** An adapter from disk. Each pair has its own scale, since PEFT allows a rank and an alpha for each module. */
export type LoadedLowRank = {
  readonly model: Model
  /** those of the adapter's head; without a head, those given */
  readonly outputs: ModelOutputs
  readonly baseModelName: string | undefined
  readonly rank: number
  readonly alpha: number
  readonly rslora: boolean
  readonly dora: boolean
  readonly dropout: number
  /** ΔW = scale · B A, by module path without the family's prefix */
  readonly modules: ReadonlyMap<string, ScaledPair>
  /** the same for matrices of the head: PEFT's `all-linear` adapts BERT's pooler, and saves its classifier whole */
  readonly headModules: ReadonlyMap<string, ScaledPair>
  /** trained head tensors by canonical name; empty if the adapter has none */
  readonly head: ReadonlyMap<string, Weights>
  readonly labelNames: readonly string[] | undefined
  /** rows of tokens that the file has, and its tensors by key */
  readonly tokenRows: readonly NamedRows[]
  readonly tensors: Entries
}

export type ScaledPair = Matrix & LowRankPair & { readonly scale: number }

type AdaptedModule = Matrix & {
  readonly rank: number
  readonly scale: number
  readonly key: string
  readonly hasBias: boolean
  /** Of a table of embeddings, PEFT's A is our B, and its B our A, both transposed: ΔW is [vocabulary, width] like the table. */
  readonly isLookup: boolean
}

/**
 * Loads the adapter in `folder` for this model.
 * @throws InputError if it is not plain LoRA, if a key is missing or unexpected, or if a number is not finite. It also throws if a shape
 * contradicts the model or the configuration.
 */
export const loadLowRank = async (
  folder: string,
  base: Model,
  given: ModelOutputs,
  storage: Storage = nodeFiles,
  whole?: WholeModules,
): Promise<LoadedLowRank> => {
  const { config, configFile, model, tensors, outputs, labelNames, checkTensors, readHead } = await openAdapterFolder(
    folder,
    { model: base, outputs: given, ...(whole === undefined ? {} : { whole }) },
    parsePeftConfig,
    storage,
  )
  const dora = config.use_dora === true
  const adapted = adaptedModules(config, model, outputs, tensors, configFile)
  const tokenRows = parseTokenIndices(config.trainable_token_indices, model, outputs, tensors, configFile)
  checkTensors([...adapted.flatMap(listShapes(dora)), ...tokenRows.map(({ key, shape }) => [key, shape] as const)])
  const pairs = await readPairs(tensors, adapted)
  const inEncoder = new Set(adaptableMatrices(model).map(({ name }) => name))
  return {
    model,
    outputs,
    baseModelName: config.base_model_name_or_path ?? undefined,
    rank: config.r,
    alpha: config.lora_alpha,
    rslora: config.use_rslora === true,
    dora,
    dropout: config.lora_dropout ?? 0,
    modules: new Map([...pairs].filter(([name]) => inEncoder.has(name))),
    headModules: new Map([...pairs].filter(([name]) => !inEncoder.has(name))),
    head: await readHead(),
    labelNames,
    ...{ tokenRows, tensors },
  }
}

const listShapes =
  (dora: boolean) =>
  ({ key, rank, d, k, hasBias, isLookup }: AdaptedModule): readonly (readonly [string, TensorShape])[] => {
    const keys = pairKeys(key, isLookup)
    if (isLookup)
      return [
        [keys.A, [k, rank]],
        [keys.B, [rank, d]],
      ] as const
    const rows = [...(dora ? [keys.magnitude] : []), ...(hasBias ? [keys.bias] : [])]
    return [[keys.A, [rank, k]], [keys.B, [d, rank]], ...rows.map((row) => [row, [d]] as const)]
  }

const readPairs = async (tensors: Entries, adapted: readonly AdaptedModule[]): Promise<ReadonlyMap<string, ScaledPair>> => {
  const pairs = new Map<string, ScaledPair>()
  for (const { name, d, k, key, scale, isLookup } of adapted) {
    const keys = pairKeys(key, isLookup)
    const pair: Partial<Record<keyof LowRankPair, Weights>> = {}
    for (const part of pairParts) {
      const entry = tensors.get(keys[part])
      if (entry !== undefined) pair[part] = isLookup ? transposedWeights(await readWeights(entry)) : await readWeights(entry)
    }
    pairs.set(name, { name, d, k, scale, ...(pair as LowRankPair) }) // checkTensors found A and B
  }
  return pairs
}

/** The modules that the configuration adapts, each with its rank and its scale: alpha_i / r_i, or alpha_i / √r_i (rank-stabilized). */
const adaptedModules = (
  config: PeftConfig,
  model: Model,
  outputs: ModelOutputs,
  tensors: Entries,
  where: string,
): readonly AdaptedModule[] => {
  const tables = wordTables(model)
  const matrices = [...model.spec.matrices, ...listAdaptableHeadMatrices(model, outputs, config), ...tables]
  const targeted = targetedModules(withTiedTarget(config, tensors), matrices, model, tensors, where)
  const isTable = ({ name }: Matrix): boolean => tables.some((table) => table.name === name)
  // PEFT does not adapt what it saves whole.
  const modules = targeted.filter((module) => !isTable(module) || !tensors.has(`${peftPrefix}${module.path}.weight`))
  const [table] = config.use_dora === true ? modules.filter(isTable) : []
  if (table !== undefined) throw inputError(where, 'magnitudes (use_dora) of matrices in layers', `those of ${table.path} (${merging})`)
  const paths = modules.map(({ path }) => path)
  const ranks = lookUpPattern(config.rank_pattern ?? {}, paths, where)
  const alphas = lookUpPattern(config.alpha_pattern ?? {}, paths, where)
  return modules.map(({ path, ...module }, i) => {
    const rank = ranks[i] ?? config.r
    const alpha = alphas[i] ?? config.lora_alpha
    const hasBias = config.bias === 'lora_only' && model.spec.tensors.has(`${module.name}.bias`)
    const isLookup = module.name === matrixOf(model.spec.words)
    return { ...module, isLookup, hasBias, rank, scale: alpha / (config.use_rslora ? Math.sqrt(rank) : rank), key: `${peftPrefix}${path}` }
  })
}

/** With ensure_weight_tying, PEFT adapts the output matrix as it does the embeddings, and does not list it. */
const withTiedTarget = (config: PeftConfig, tensors: Entries): PeftConfig => {
  const { target_modules: targets, ensure_weight_tying: tied } = config
  const hasOutput = tied === true && typeof targets !== 'string' && tensors.has(pairKeys(`${peftPrefix}${matrixOf(outputTable)}`).A)
  return hasOutput ? { ...config, target_modules: [...targets, matrixOf(outputTable)] } : config
}

/** The matrices that the configuration adapts, with their paths in the base model. @param keyOf the key of a tensor of the matrix with this path @throws InputError if there are none */
export const targetedModules = (
  config: Pick<PeftConfig, 'target_modules' | 'exclude_modules' | 'fan_in_fan_out' | 'layers_to_transform' | 'layers_pattern'>,
  matrices: readonly Matrix[],
  model: Model,
  tensors: Entries,
  where: string,
  keyOf = (path: string): string => pairKeys(`${peftPrefix}${path}`).A,
): readonly (Matrix & { readonly path: string })[] => {
  // An adapter that was trained on the bare model has paths without the family's name.
  const toStored = (name: string): string => matrixOf(model.naming.stored(`${name}.weight`))
  const bare = matrices.some(({ name }) => toStored(name) !== name && tensors.has(keyOf(name)))
  const paths = matrices.map(({ name }) => (bare ? name : toStored(name)))
  const targeted =
    config.target_modules === allLinear
      ? paths.map((path) => tensors.has(keyOf(path))) // PEFT skips the output and what it saves whole
      : matchModules(config.target_modules, paths, where)
  const excluded = matchModules(config.exclude_modules ?? [], paths, where)
  const inLayers = matchLayers(config, paths, where)
  const modules = matrices.flatMap((module, i) => (targeted[i] && inLayers[i] && !excluded[i] ? [{ ...module, path: paths[i] ?? '' }] : []))
  if (config.fan_in_fan_out === true && modules.some((module) => !fansInOut(model, [module])))
    throw inputError(where, 'a plain LoRA configuration whose fan_in_fan_out is false', 'true')
  if (modules.length > 0) return modules
  throw inputError(
    where,
    `target_modules that match a matrix of the ${model.type} ${model.spec.kind}`,
    `${formatValue(config.target_modules)}${config.layers_to_transform == null ? '' : ` in layers_to_transform ${formatValue(config.layers_to_transform)}`}`,
  )
}

/** Whether each path is in a layer that PEFT adapts. Layers count for a list of names only, and a whole path in the list needs none. */
const matchLayers = (
  { target_modules: targets, layers_to_transform: layers, layers_pattern: patterns }: Parameters<typeof targetedModules>[0],
  paths: readonly string[],
  where: string,
): readonly boolean[] => {
  const numbers = [layers ?? []].flat()
  if (numbers.length === 0 || typeof targets === 'string') return paths.map(() => true)
  const before = [patterns ?? []].flat().filter((pattern) => pattern !== '')
  const ofLayer = `\\.0*(?:${numbers.join('|')})\\.`
  const matches =
    before.length === 0
      ? [paths.map((path) => numbers.includes(Number(/^.*?\.[^.]*\.(\d+)\./.exec(path)?.[1])))]
      : matchExpressions(before, (pattern) => `^(?:.*\\.)?(?:${pattern})${ofLayer}`, paths, where)
  return paths.map((path, i) => targets.includes(path) || matches.some((by) => by[i]))
}

/** The head's matrices without the parts that are saved whole, which PEFT does not adapt. */
const listAdaptableHeadMatrices = (
  model: Model,
  outputs: ModelOutputs,
  { modules_to_save: saved }: Pick<PeftConfig, 'modules_to_save'>,
): readonly Matrix[] =>
  [...selectHead(model, outputs).tensors].flatMap(([tensor, [d = 1, k]]) => {
    const name = tensor.replace(/\.weight$/, '')
    return k === undefined || saved?.includes(name.split('.')[0] ?? '') ? [] : [{ name, d, k }]
  })

// The modules that a PEFT configuration matches: lists of names and regular expressions, by PEFT's rules.
/** Milliseconds for all regular expressions of one key together. They come from untrusted files. */
const timeLimit = 3_000

/** A list of names, each a whole name or its end (`query` matches every `….query`), or one regular expression for whole names. */
type ModulePattern = string | readonly string[]

/** For each name, whether the pattern matches it. @throws InputError if JavaScript refuses an expression, or if it takes too long */
export const matchModules = (pattern: ModulePattern, names: readonly string[], where: string): readonly boolean[] =>
  typeof pattern === 'string'
    ? (matchExpressions([pattern], (given) => `^(?:${given})$`, names, where)[0] ?? [])
    : names.map((name) => pattern.some((item) => name === item || name.endsWith(`.${item}`)))

/**
 * The value of `rank_pattern` or `alpha_pattern` for each name: that of the first key that matches. A key is a regular expression, and it must
 * match the name or the part after one of its dots. Undefined if none does. @throws InputError as matchModules does
 */
export const lookUpPattern = (
  table: Readonly<Record<string, number>>,
  names: readonly string[],
  where: string,
): readonly (number | undefined)[] => {
  const keys = Object.keys(table)
  const limit = 100 + 4 * names.length
  if (keys.length > limit)
    throw inputError(where, `at most ${limit} patterns of ranks or alphas for ${names.length} modules`, `${keys.length}`)
  const matches = matchExpressions(keys, (key) => `^(?:.*\\.)?(?:${key})$`, names, where)
  const first = names.map((_, i) => keys.find((_key, at) => matches[at]?.[i]))
  return first.map((key) => (key === undefined ? undefined : table[key]))
}

/** For each expression, whether each name matches. Expressions of letters, digits and dots cannot backtrack; the others run with a time limit. */
const matchExpressions = (
  given: readonly string[],
  toExpression: (given: string) => string,
  names: readonly string[],
  where: string,
): readonly (readonly boolean[])[] => {
  const risky = given.filter((written) => !isPlain(written))
  const limited = new Map(risky.length === 0 ? [] : matchWithinLimit(risky, toExpression, names, where))
  return given.map((written) => {
    const matches = limited.get(written)
    if (matches !== undefined) return matches
    const expression = new RegExp(toExpression(written))
    return names.map((name) => expression.test(name))
  })
}

const isPlain = (written: string): boolean => /^[\w.]*$/.test(written)

/** Runs in a context that can be stopped: an untrusted adapter may have an expression that backtracks forever. */
const matchWithinLimit = (
  given: readonly string[],
  toExpression: (given: string) => string,
  names: readonly string[],
  where: string,
): readonly (readonly [string, readonly boolean[]])[] => {
  const progress = { at: 0 }
  try {
    const matches = matchInTime(given.map(toExpression), names, timeLimit, progress)
    return given.map((written, at) => [written, matches[at] ?? []] as const)
  } catch (thrown) {
    throw inputError(where, 'a regular expression that matches module names', `${quoted(given[progress.at] ?? '')} (${reason(thrown)})`)
  }
}
