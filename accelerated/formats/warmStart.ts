/** Warm start: a run that starts from the weights of a trained adapter, and so from the adapter's function. */
import { inputError } from '../errors/inputError.js'
import { showShape } from '../graph/expression.js'
import { loraScale } from '../methods/lora.js'
import { rowsName } from '../methods/trainedTokens.js'
import { SettingsError } from '../errors/expectedErrors.js'
import { option, words, type Text } from '../errors/words.js'
import { buildTokenHead } from '../models/modelOutputs.js'
import type { Settings } from '../training/resolveSettings.js'
import { buildLayout, type Assembly } from '../training/assembly.js'
import type { RunState } from '../parameters/runState.js'
import type { Adapter, Weights } from './adapter.js'
import { findFormat } from './index.js'
import { changesTables, toLowRankAdapter } from './peft/lora.js'
import { emptyPair, padPair, pairRank, type LowRankAdapter, type LowRankPair } from './peft/peft.js'

type WarmStart = {
  readonly state: RunState
  /** whether the head is the adapter's, which needs the same classes */
  readonly withHead: boolean
}

type Numbers = ReadonlyMap<string, ArrayLike<number>>

/**
 * `start` with the adapter's tensors. LoRA continues an adapter at its ranks and its scale. SaLoRA may have a larger rank: the other rows of A then stay
 * as drawn, and the other columns of B are 0.
 * @param where the adapter's name in messages @throws InputError or SettingsError if the adapter does not fit the run
 */
export const warmStart = (
  run: Omit<Assembly, 'frozen' | 'settings'> & { readonly settings: Settings },
  start: RunState,
  adapter: Adapter,
  labelNames: readonly string[] | undefined,
  where: Text,
): WarmStart => {
  const beside = changesTables(adapter)
  if (beside !== null)
    throw inputError(
      where,
      'an adapter of matrices in layers and a head',
      `${beside}; salora export --format merged makes it a model to begin with`,
    )
  const layout = buildLayout(run, start.phase)
  const inFile = headNumbers(run, adapter, labelNames)
  const head = inFile === null ? null : (run.objective.headInFiles?.read(inFile) ?? inFile)
  const own = run.method.export.format === 'peftLora' ? lowRankNumbers(run, start, adapter, where) : sameNumbers(run, start, adapter, where)
  const rows = tokenNumbers(run.method, adapter, where)
  const parameters = start.parameters.slice()
  for (const entry of layout.entries) {
    const given = rows.get(entry.name) ?? own.get(entry.name) ?? head?.get(entry.name)
    if (given !== undefined) parameters.set(given, entry.offset) // A's first rows, if the adapter's rank is smaller
  }
  return { state: { ...start, parameters }, withHead: head !== null }
}

/** Tensors of the same method. In another method, they would mean something else. */
const sameNumbers = (
  { method, settings }: Pick<Assembly, 'method' | 'settings'>,
  { phase }: RunState,
  adapter: Adapter,
  where: Text,
): Numbers => {
  if (adapter.method.name !== method.name) throw inputError(where, `an adapter of method ${method.name}`, `one of ${adapter.method.name}`)
  const ofRows = new Set(method.tokens?.map(({ table }) => rowsName(table)))
  const own = method.train.tensors(phase, settings).filter(({ name }) => !ofRows.has(name))
  const numbers = own.map(({ name, shape }): readonly [string, ArrayLike<number>] => {
    const weights = adapter.tensors.get(name)
    if (weights?.shape.join() !== shape.join())
      throw inputError(
        where,
        `${name} ${showShape(shape)}, as the settings of the run have it`,
        weights === undefined ? 'none' : showShape(weights.shape),
      )
    return [name, weights.data]
  })
  // A phase that advances is not the adapter's, and its tensors say all. One that stays may differ where tensors do not.
  const other = method.phases.advance === undefined ? method.phases.validate?.(adapter.phase, phase, { step: 0, steps: 0 }) : null
  if (other != null) throw inputError(where, other.expected, other.got)
  return new Map(numbers)
}

/** The run's rows of tokens with those of the adapter, which must be among them. Other rows stay as they begin. */
const tokenNumbers = ({ tokens: ours = [] }: Assembly['method'], { method, tensors }: Adapter, where: Text): Numbers => {
  const numbers = new Map<string, ArrayLike<number>>()
  for (const { table, ids, shape } of method.tokens ?? []) {
    const [own, width] = [ours.find((rows) => rows.table === table), shape[1]]
    const missing = ids.find((id) => own?.ids.includes(id) !== true)
    if (own === undefined || missing !== undefined)
      throw inputError(
        where,
        words`an adapter whose rows of tokens the run trains (${option('trainableTokens')}, ${option('newTokens')})`,
        `token ${missing} of ${table}`,
      )
    const theirs = tensors.get(rowsName(table))?.data ?? new Float32Array(0)
    const rows = Float64Array.from(own.initial)
    ids.forEach((id, i) => rows.set(theirs.subarray(i * width, (i + 1) * width), own.ids.indexOf(id) * width))
    numbers.set(rowsName(table), rows)
  }
  return numbers
}

/** Tensors of any low-rank method: as plain LoRA, at the run's scale. */
const lowRankNumbers = (
  { method, settings }: { readonly method: Assembly['method']; readonly settings: Settings },
  { phase }: RunState,
  adapter: Adapter,
  where: Text,
): Numbers => {
  const plain = findFormat(adapter.method).asLora?.(adapter)
  if (plain === undefined) throw inputError(where, 'a low-rank adapter', `one of ${adapter.method.name}`)
  const { initLoraWeights = 'kaiming' } = settings
  if (initLoraWeights !== 'kaiming' && initLoraWeights !== 'gaussian')
    throw new SettingsError('initLoraWeights', 'kaiming or gaussian in a run that begins with an adapter', initLoraWeights)
  if (settings.warmupGate === 'expected') throw new SettingsError('warmupGate', 'open in a run that begins with an adapter', 'expected')
  const lowRank = toLowRankAdapter(plain)
  const { modules, rank, alpha, rslora = false } = lowRank
  const places = new Map(method.train.tensors(phase, settings).map(({ name, shape }) => [name, shape]))
  const { rank: ownRank = NaN, loraAlpha: ownAlpha = NaN, useRslora: ownRslora = false } = settings
  const ratio =
    loraScale({ rank, loraAlpha: alpha, useRslora: rslora }) / loraScale({ rank: ownRank, loraAlpha: ownAlpha, useRslora: ownRslora })
  if (method.name === 'lora') checkContinues(lowRank, settings, places)
  const numbers = new Map<string, ArrayLike<number>>()
  for (const [name, pair] of modules) {
    const [r = 0] = places.get(`${name}.A`) ?? []
    if (r === 0 && pair.B.data.every((x) => x === 0)) continue // a pair of zeros changes nothing
    if (r === 0) throw inputError(where, words`an adapter of matrices that the run adapts (${option('targetModules')})`, name)
    if (pairRank(pair) > r)
      throw inputError(where, words`ranks of at most ${r}, the run's (${option('rank')})`, `${pairRank(pair)} of ${name}`)
    if ((pair.magnitude === undefined) !== !places.has(`${name}.magnitude`))
      throw inputError(
        where,
        pair.magnitude === undefined
          ? words`an adapter with magnitudes, as ${option('useDora', true)} has them`
          : words`an adapter without magnitudes (or ${option('useDora', true)})`,
        'another',
      )
    numbers.set(`${name}.A`, pair.A.data) // the first rows
    numbers.set(
      `${name}.B`,
      padPair(pair, r).B.data.map((x) => ratio * x),
    )
    if (pair.magnitude !== undefined) numbers.set(`${name}.magnitude`, pair.magnitude.data)
    if (pair.bias !== undefined && !places.has(`${name}.bias`))
      throw inputError(where, words`an adapter without trained biases (or ${option('loraBias')} lora_only of method lora)`, 'one with them')
    if (pair.bias !== undefined) numbers.set(`${name}.bias`, pair.bias.data)
  }
  return numbers
}

/** @throws SettingsError for the first setting of the run that is not the adapter's */
const checkContinues = (
  { modules, rank, alpha, rslora = false }: LowRankAdapter,
  settings: Settings,
  places: ReadonlyMap<string, readonly number[]>,
): void => {
  const ranks = [...places].flatMap(([name, [r = 0]]) => (name.endsWith('.A') ? [[name.slice(0, -2), r] as const] : []))
  const more = ranks.find(([name]) => !modules.has(name))?.[0]
  const missing = [...modules].find(([name, { B }]) => !places.has(`${name}.A`) && B.data.some((x) => x !== 0))?.[0]
  const own = more === undefined ? missing && `no ${missing}` : `${more} too`
  const other = ranks.find(([name, r]) => r !== pairRank(modules.get(name) ?? emptyPair({ d: 0, k: 0 })))
  const values: readonly (readonly [setting: string, theirs: unknown, ours: unknown])[] = [
    ['rank', rank, settings.rank],
    ['loraAlpha', alpha, settings.loraAlpha],
    ['useRslora', rslora, settings.useRslora],
    ['targetModules', own && `${modules.size} matrices`, own],
    ['rankPattern', other && `${pairRank(modules.get(other[0]) as LowRankPair)} for ${other[0]}`, other?.[1]],
  ]
  const differing = values.find(([, theirs, ours]) => theirs !== ours)
  if (differing === undefined) return
  const [setting, theirs, ours] = differing
  const remedy = 'to train another, merge the adapter into the model first: salora export --format merged'
  throw new SettingsError(setting, `${String(theirs)}, as the adapter has it`, String(ours), remedy)
}

/** The adapter's head with its rows in the order of the run's classes; null if its classes differ or have no names. */
const headNumbers = (
  { model }: Pick<Assembly, 'model'>,
  { head, outputs, labelNames: theirs }: Adapter,
  labelNames: readonly string[] | undefined,
): Numbers | null => {
  const regression = outputs.head === 'sequence' && outputs.problemType === 'regression' && labelNames === undefined
  if (outputs.head === 'embedding' || outputs.head === 'causal') return new Map() // they have none
  const places = labelNames?.map((name) => theirs?.indexOf(name) ?? -1) ?? [0]
  const same = regression || (theirs !== undefined && theirs.length === places.length && !places.includes(-1))
  if (!same || head.size === 0) return null
  const wider = (outputs.head === 'token' ? buildTokenHead(model, outputs.labels + 1) : model.sequenceHead(outputs.labels + 1)).tensors
  return new Map(
    [...head].map(([name, { shape, data }]): readonly [string, ArrayLike<number>] => [
      name,
      wider.get(name)?.join() === shape.join() ? data : selectRows({ shape, data }, places),
    ]),
  )
}

const selectRows = ({ shape: [rows = 1], data }: Weights, places: readonly number[]): Float32Array => {
  const width = data.length / rows
  return Float32Array.from(places.flatMap((row) => [...data.subarray(row * width, (row + 1) * width)]))
}
