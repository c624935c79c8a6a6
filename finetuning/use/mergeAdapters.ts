/** Merges low-rank adapters of one base model into one adapter, or into the base. The formulas are methods/mergeUpdates.ts. */
import { changesTables, hasBiases } from '../../accelerated/formats/peft/lora.js'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { resolveAdapter, resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { formatValue, inputError, oneLine } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { Adapter, Weights } from '../../accelerated/formats/adapter.js'
import { exportMerged } from '../../accelerated/formats/exportMerged.js'
import { writeAdapter } from '../../accelerated/formats/index.js'
import { lora, loraScale, type LoraPhase, type LoraSettings } from '../../accelerated/methods/lora.js'
import { largestWrittenRank } from '../../accelerated/methods/lowRankSettings.js'
import {
  type AdapterUpdate,
  choosesRank,
  combinesFactors,
  dropsNumbers,
  type Merge,
  mergeMethods,
  mergeToFactors,
  mergeToUpdate,
  type MergedFactors,
  type MergeMethod,
} from '../../accelerated/methods/mergeUpdates.js'
import type { Matrix } from '../../accelerated/models/architecture.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import { findMethod, resolveSettings, type Settings } from '../../accelerated/training/resolveSettings.js'
import { findTaskType } from '../tasks/findTaskType.js'
import { checkModelFiles, type RunInputs } from '../run/runFingerprint.js'
import { adapterIn, completeHead } from './attachAdapter.js'
import { asLora } from './exportFormats.js'
import { inNewFolder } from './newFolder.js'
import { runSource } from './runSource.js'

export { mergeMethods, type MergeMethod }

export type MergeOptions = {
  /** the base model, a folder or a hub id; null: that of the first run among the adapters */
  readonly model: string | null
  /** folders of runs or of low-rank adapters in any layout, or hub ids of adapters */
  readonly adapters: readonly string[]
  /** a new or an empty folder */
  readonly output: string
  /** one for each adapter, negative ones too (default: equal, with sum 1) */
  readonly weights?: readonly number[] | null
  /** default: cat, the exact weighted sum of the updates */
  readonly method?: MergeMethod
  /** the largest rank of each matrix, for svd and methods in -svd (default: that of the adapters) */
  readonly rank?: number | null
  /** the share of numbers that ties, dare and magnitude-prune keep, above 0 and at most 1 */
  readonly density?: number | null
  /** of the numbers that dare drops (default: 0) */
  readonly seed?: number
  /** Writes the base model with the whole merged update in its weights, instead of an adapter. */
  readonly intoBase?: boolean
  readonly onMatrix?: (done: number, total: number) => void
}

export type MergeReport = {
  readonly output: string
  readonly method: MergeMethod
  readonly adapters: readonly { readonly adapter: string; readonly weight: number }[]
  readonly files: readonly { readonly name: string; readonly bytes: number }[]
  /** rank by matrix; null: merged into the base */
  readonly ranks: Readonly<Record<string, number>> | null
  /** The share of the merged update's squared Frobenius norm that these ranks hold, of all matrices and of the worst; null: all of it. */
  readonly kept: { readonly all: number; readonly least: number; readonly matrix: string } | null
  readonly warnings: readonly string[]
}

/** Writes the folder. @throws InputError; `output` is then as it was */
export const mergeAdapters = async (options: MergeOptions): Promise<MergeReport> => {
  const { output, intoBase = false, onMatrix } = options
  const settings = checkOptions(options)
  const sources = await findSources(options.adapters)
  const base = await openBase(options.model, sources)
  const inputs: Input[] = []
  for (const [place, source] of sources.entries()) inputs.push(await readInput(source, base, settings.weights[place] ?? 0))
  const warnings = [...checkHeads(inputs, settings.weights), ...inputs.flatMap((input) => baseWarnings(input, base))]
  const matrices = base.model.spec.matrices.filter(({ name }) => inputs.some((input) => findMatrix(input, name) !== undefined))
  checkMethod(inputs, matrices, settings.method, intoBase)
  const others = Object.fromEntries(inputs.map(({ folder }, i) => [`adapter ${i + 1}`, folder]))
  return inNewFolder(output, { "the model's folder": base.folder, ...others }, async (stage) => {
    const merging = { inputs, base, settings, matrices, onMatrix }
    const merged = intoBase ? await writeModel(stage, merging) : await writeMerged(stage, merging)
    const files = (await readdir(stage)).sort().map(async (name) => ({ name, bytes: (await stat(join(stage, name))).size }))
    const adapters = options.adapters.map((adapter, i) => ({ adapter, weight: settings.weights[i] ?? 0 }))
    return { output, method: settings.method, adapters, files: await Promise.all(files), ...merged, warnings }
  })
}

type CheckedOptions = Omit<Merge, 'place'> & { readonly weights: readonly number[]; readonly rank: number | null }

/** @throws InputError for an option that is wrong, or that the method does not have */
const checkOptions = ({
  adapters,
  method = 'cat',
  weights,
  rank = null,
  density,
  seed = 0,
  intoBase = false,
}: MergeOptions): CheckedOptions => {
  if (adapters.length === 0) throw inputError(option('adapters'), 'at least one adapter', 'none')
  if (weights != null && (weights.length !== adapters.length || !weights.every(Number.isFinite)))
    throw inputError(option('weights'), `one number per adapter (${adapters.length})`, formatValue(weights.join(' ')))
  if (!mergeMethods.includes(method)) throw inputError(option('method'), `one of ${mergeMethods.join(', ')}`, formatValue(method))
  if (dropsNumbers(method) !== (density != null))
    throw density == null
      ? inputError(option('density'), `the share of numbers that ${method} keeps, above 0 and at most 1`, 'none')
      : inputError(option('density'), words`none, as ${option('method')} ${method} keeps all numbers`, String(density))
  if (density != null && !(density > 0 && density <= 1))
    throw inputError(option('density'), 'a number above 0 and at most 1', String(density))
  if (rank !== null && (intoBase || !choosesRank(method)))
    throw inputError(
      option('rank'),
      intoBase
        ? words`none, as ${option('intoBase')} cuts nothing`
        : words`none, as ${option('method')} ${method} has the rank of its adapters`,
      String(rank),
    )
  if (rank !== null && !(Number.isInteger(rank) && rank >= 1 && rank <= largestWrittenRank))
    throw inputError(option('rank'), `a whole number from 1 to ${largestWrittenRank}`, String(rank))
  if (!Number.isSafeInteger(seed) || seed < 0) throw inputError(option('seed'), 'a whole number of at least 0', String(seed))
  return { method, weights: weights ?? adapters.map(() => 1 / adapters.length), rank, density: density ?? 1, seed }
}

/** An adapter's folder, and the run that trained it. */
type Source = {
  readonly where: string
  readonly folder: string
  readonly run: { readonly model: string; readonly revision: string | undefined; readonly inputs: RunInputs | undefined } | null
}

const findSources = async (adapters: readonly string[]): Promise<readonly Source[]> => {
  const sources: Source[] = []
  for (const where of adapters) {
    const has = async (name: string): Promise<boolean> => (await fileInFolder(where, name)) !== undefined
    if ((await has('adapter_config.json')) || !(await has('config.json'))) {
      sources.push({ where, folder: await resolveAdapter(where), run: null })
      continue
    }
    const { adapter, model, revision, trainedBy } = (await runSource(where)).adapter
    sources.push({ where, folder: adapter, run: { model, revision, inputs: trainedBy?.inputs } })
  }
  return sources
}

/** @throws InputError if no run says which model it is, or a run was trained on another one */
const openBase = async (model: string | null, sources: readonly Source[]): Promise<ModelFolder> => {
  const [first] = sources.flatMap(({ run }) => run ?? [])
  if (model === null && first === undefined)
    throw inputError(option('model'), 'the base model of the adapters, as none of them is a run', 'none')
  const { folder, baseModelName } =
    model === null && first !== undefined ? await resolveModel(first.model, { revision: first.revision }) : await resolveModel(model ?? '')
  const base = await openModelFolder(folder, { baseModelName })
  for (const { where, run } of sources) if (run?.inputs !== undefined) await checkModelFiles(base, run.inputs, where)
  return base
}

/** An adapter as plain LoRA. */
type Input = {
  readonly where: string
  readonly folder: string
  readonly isRun: boolean
  readonly weight: number
  readonly adapter: Adapter
}

/** @throws InputError for an adapter that is no LoRA, or has more than LoRA and a head */
const readInput = async ({ where, folder, run }: Source, base: ModelFolder, weight: number): Promise<Input> => {
  const { adapter } = await adapterIn(folder, base)
  const plain = asLora(adapter)
  if (plain === undefined)
    throw inputError(where, 'an adapter of low rank (LoRA, SaLoRA or AdaLoRA)', `one of method ${adapter.method.name}`)
  if (adapter.method.tokens !== undefined) throw inputError(where, 'an adapter of matrices and a head', 'one with rows of tokens')
  if (hasBiases(plain.phase)) throw inputError(where, 'an adapter of matrices and a head', 'one with trained biases')
  const ofTables = changesTables(plain)
  if (ofTables !== null)
    throw inputError(where, 'an adapter of matrices and a head', `${ofTables} (salora export --format merged writes one by itself)`)
  return { where, folder, isRun: run !== null, weight, adapter: plain }
}

/** No check of a run's: a folder's own words only. */
const baseWarnings = ({ where, isRun, adapter: { baseModelName } }: Input, base: ModelFolder): readonly string[] =>
  isRun || baseModelName === '' || basename(baseModelName) === basename(base.baseModelName)
    ? []
    : [`${where} says that its base model is ${oneLine(baseModelName)}, and it is merged for ${base.baseModelName}`]

/** @returns warnings @throws InputError if the heads differ in more than their numbers, or cannot be averaged */
const checkHeads = (inputs: readonly Input[], weights: readonly number[]): readonly string[] => {
  const [first, ...others] = inputs
  if (first === undefined) return []
  const names = inputs.find(({ adapter }) => adapter.labelNames !== undefined)
  for (const other of others) {
    const [expected, got] = [describeHead(first), describeHead(other)]
    if (expected !== got) throw inputError(other.where, `the head of ${first.where}: ${expected}`, got)
  }
  for (const { where, adapter } of inputs)
    if (names !== undefined && adapter.labelNames !== undefined && adapter.labelNames.join('\n') !== names.adapter.labelNames?.join('\n'))
      throw inputError(where, `the classes of ${names.where}: ${listNames(names.adapter)}`, listNames(adapter))
  if (first.adapter.head.size > 0 && !(weights.reduce((sum, weight) => sum + weight, 0) > 0))
    throw inputError(option('weights'), 'weights with a sum above 0, by which the heads are averaged', weights.join(' '))
  return inputs
    .filter(({ adapter }) => names !== undefined && adapter.labelNames === undefined)
    .map(({ where }) => `${where} does not name its classes; they are taken for those of ${names?.where}`)
}

/** `2 outputs (a classification) of classifier.bias, classifier.weight on BertModel` */
const describeHead = ({ where, adapter: { model, outputs, head } }: Input): string => {
  if (outputs.head === 'causal' || outputs.head === 'embedding') return outputs.head === 'causal' ? 'next tokens' : 'embeddings'
  const type = findTaskType(outputs, where).noun
  const parts = [...head.keys()].sort().join(', ')
  return `${outputs.labels} outputs (${type}) of ${parts === '' ? "the model's head" : parts} on ${model.naming.sequenceClassifier}`
}

const listNames = ({ labelNames = [] }: Adapter): string => oneLine(labelNames.slice(0, 12).join(', '))

const findMatrix = ({ adapter }: Input, name: string) => (adapter.phase as LoraPhase).matrices.find((matrix) => matrix.name === name)

const isDora = ({ settings }: Adapter): boolean => settings['useDora'] === true

/** @throws InputError where the method is not defined for these adapters */
const checkMethod = (inputs: readonly Input[], matrices: readonly Matrix[], method: MergeMethod, intoBase: boolean): void => {
  const dora = inputs.find(({ adapter }) => isDora(adapter))
  if (dora !== undefined && (combinesFactors(method) || (method === 'cat' && !intoBase)))
    throw inputError(
      words`${option('method')} ${method}`,
      words`LoRA without magnitudes (svd and methods in -svd merge DoRA nearly${combinesFactors(method) ? '' : words`, and ${option('intoBase', true)} exactly`})`,
      `DoRA in ${dora.where}`,
    )
  if (!combinesFactors(method)) return
  for (const { name } of matrices) {
    const ranks = inputs.flatMap((input) => findMatrix(input, name)?.r ?? [])
    if (new Set(ranks).size > 1)
      throw inputError(
        words`${option('method')} ${method}`,
        `adapters of one rank, as it adds A to A and B to B (cat, svd and methods in -svd take any ranks)`,
        `ranks ${ranks.join(', ')} at ${name}`,
      )
  }
}

type Merging = {
  readonly inputs: readonly Input[]
  readonly base: ModelFolder
  readonly settings: CheckedOptions
  readonly matrices: readonly Matrix[]
  readonly onMatrix: MergeOptions['onMatrix']
}

const readSettings = ({ settings }: Adapter): Settings & LoraSettings => settings as Settings & LoraSettings

/** The updates of one matrix. @param weight the base's numbers, [d, k], which only DoRA needs */
const updatesAt = (inputs: readonly Input[], { name }: Matrix, weight: () => ArrayLike<number>): readonly AdapterUpdate[] =>
  inputs.flatMap((input, place): readonly AdapterUpdate[] => {
    const matrix = findMatrix(input, name)
    if (matrix === undefined) return []
    const { tensors, phase } = input.adapter
    const numbers = (factor: string): ArrayLike<number> => tensors.get(factor)?.data ?? []
    const add = (W: ArrayLike<number>): Float64Array => {
      const merged = lora.export.merge?.(phase as LoraPhase, readSettings(input.adapter), `${name}.weight`, () => W, numbers)
      return Float64Array.from(merged ?? W)
    }
    const { d, k, r } = matrix
    const factors = { A: numbers(`${name}.A`), B: numbers(`${name}.B`), r, scale: loraScale(readSettings(input.adapter)) }
    if (!isDora(input.adapter)) return [{ place, weight: input.weight, factors, whole: () => add(new Float64Array(d * k)) }]
    const change = (W: ArrayLike<number>): Float64Array => add(W).map((x, i) => x - (W[i] ?? NaN))
    return [{ place, weight: input.weight, factors: null, whole: () => change(weight()) }]
  })

const mergeAt = ({ base, settings }: Merging, { name }: Matrix): Merge => ({
  ...settings,
  place: base.model.spec.matrices.findIndex((matrix) => matrix.name === name),
})

/** Averaged by weight. The sum of weights is above 0. */
const averageHeads = (inputs: readonly Input[]): ReadonlyMap<string, Weights> => {
  const total = inputs.reduce((sum, { weight }) => sum + weight, 0)
  const heads = inputs.map(({ adapter, weight }) => ({ head: adapter.head, share: weight / total }))
  return new Map(
    [...(heads[0]?.head ?? [])].map(([name, { shape, data }]) => [
      name,
      {
        shape,
        data: Float32Array.from(data, (_, i) => heads.reduce((sum, { head, share }) => sum + share * (head.get(name)?.data[i] ?? NaN), 0)),
      },
    ]),
  )
}

/** What both forms of the result have: the adapters' outputs and averaged head. */
const mergedAdapter = ({ inputs, base }: Merging): Adapter => {
  const [first] = inputs
  if (first === undefined) throw new Error('mergedAdapter: expected at least one adapter, got none')
  const labelNames = inputs.find(({ adapter }) => adapter.labelNames !== undefined)?.adapter.labelNames
  const names = new Set(inputs.map(({ adapter: { baseModelName } }) => baseModelName))
  const baseModelName = names.size === 1 && !names.has('') ? first.adapter.baseModelName : base.baseModelName
  return { ...first.adapter, baseModelName, method: findMethod('lora'), head: averageHeads(inputs), labelNames }
}

type Written = Pick<MergeReport, 'ranks' | 'kept'>

const writeMerged = async (stage: string, merging: Merging): Promise<Written> => {
  const { inputs, base, settings, matrices, onMatrix } = merging
  const merged: (Matrix & MergedFactors)[] = []
  const tensors = new Map<string, Weights>()
  for (const matrix of matrices) {
    await setImmediate() // Ctrl-C is heard between matrices
    const { name, d, k } = matrix
    const entry = base.tensors.get(`${name}.weight`)
    const W = entry !== undefined && inputs.some(({ adapter }) => isDora(adapter)) ? await readTensor(entry) : []
    const largest = Math.max(...inputs.flatMap((input) => findMatrix(input, name)?.r ?? []))
    const factors = mergeToFactors(
      updatesAt(inputs, matrix, () => W),
      matrix,
      mergeAt(merging, matrix),
      settings.rank ?? largest,
    )
    merged.push({ ...matrix, ...factors })
    tensors.set(`${name}.A`, { shape: [factors.r, k], data: toFloat32(factors.A, name) })
    tensors.set(`${name}.B`, { shape: [d, factors.r], data: toFloat32(factors.B, name) })
    onMatrix?.(merged.length, matrices.length)
  }
  const rank = Math.max(1, ...merged.map(({ r }) => r))
  const phase: LoraPhase = { matrices: merged.map(({ name, d, k, r }) => ({ name, d, k, r })) }
  const loraSettings = { ...resolveSettings({ method: 'lora' }), rank, loraAlpha: rank, useRslora: false, useDora: false, loraDropout: 0 }
  await writeAdapter(stage, { ...mergedAdapter(merging), settings: loraSettings, phase, tensors }, base)
  return {
    ranks: Object.fromEntries(merged.map(({ name, r }) => [name, r])),
    kept: choosesRank(settings.method) ? shareKept(merged) : null,
  }
}

/** @throws InputError if a weight made a number too large */
const toFloat32 = (numbers: ArrayLike<number>, name: string): Float32Array => {
  const rounded = Float32Array.from(numbers)
  if (!rounded.every(Number.isFinite))
    throw inputError(option('weights'), `weights whose sums are finite float32 numbers`, `others at ${name}`)
  return rounded
}

const shareKept = (merged: readonly (Matrix & MergedFactors)[]): MergeReport['kept'] => {
  const total = merged.reduce((sum, { norm }) => sum + norm, 0)
  const [worst] = [...merged].sort((a, b) => a.kept - b.kept)
  const all = total === 0 ? 1 : merged.reduce((sum, { norm, kept }) => sum + norm * kept, 0) / total
  return worst === undefined ? null : { all, least: worst.kept, matrix: worst.name }
}

/** The base with the merged update in its weights, each computed when it is written. */
const writeModel = async (stage: string, merging: Merging): Promise<Written> => {
  const { inputs, base, matrices, onMatrix } = merging
  let done = 0
  const merge: typeof lora.export.merge = (_phase, _settings, tensor, weight) => {
    const matrix = matrices.find(({ name }) => `${name}.weight` === tensor)
    if (matrix === undefined) return null
    const W = weight()
    const update = mergeToUpdate(
      updatesAt(inputs, matrix, () => W),
      matrix,
      mergeAt(merging, matrix),
    )
    onMatrix?.(++done, matrices.length)
    return update.map((x, i) => x + (W[i] ?? NaN))
  }
  const plain = mergedAdapter(merging)
  const adapter: Adapter = { ...plain, method: { ...plain.method, export: { ...plain.method.export, merge } } }
  await exportMerged(stage, { base, adapter, head: await completeHead(base, adapter, inputs[0]?.folder ?? null) }, adapter.labelNames)
  return { ranks: null, kept: null }
}
