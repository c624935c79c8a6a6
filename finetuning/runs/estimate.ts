/** What a run will need: an estimate of its peak of memory, before its first step, and what would fit where it is more than there is. */
import { startPhase } from '../../accelerated/methods/startPhase.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { memoryLimit } from '../../accelerated/engines/memoryLimit.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Examples, TokenizedExample } from '../../accelerated/models/packing.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { methodOf, type Settings } from '../../accelerated/training/settings.js'
import { assemble, layoutOf, type Assembly } from '../../accelerated/training/assembly.js'
import { memoryEstimate, totalBytes, type MemoryEstimate } from './memoryEstimate.js'
import type { Dimensions } from '../../accelerated/training/dropoutFeeds.js'
import { flatten } from '../../accelerated/parameters/vectors.js'
import { runLength } from '../../accelerated/training/runLength.js'
import { largestBatch } from '../../accelerated/training/batchFeeds.js'

/** In bytes. base: what the process holds before its graphs are there · peak: all together · memory: what there is */
export type Estimate = MemoryEstimate & {
  readonly base: number
  readonly peak: number
  readonly memory: number
  /** where the peak is more than there is: settings with which it is not, each with its peak */
  readonly fitting: ReadonlyArray<Fitting>
}

export type Fitting = { readonly settings: { readonly gradientCheckpointing?: true; readonly batchSize?: number }; readonly peak: number }

/** A run's data, as far as they decide what it holds. */
type Data = { readonly training: Examples<TokenizedExample>; readonly evaluation: Examples<TokenizedExample> | null }

type Run = Assembly & { readonly settings: Settings }

/** @param base bytes that the process holds without the graphs @param steps of the whole run, by which phases are planned */
export const estimateOf = (run: Run, data: Data, steps: number, base: number, memory = memoryLimit()): Estimate => {
  const largest = peakPhase(run, data, steps)
  const peak = base + totalBytes(largest)
  return { ...largest, base, peak, memory, fitting: peak > memory ? fitting(run, data, steps, base, memory) : [] }
}

/** As `salora estimate` has it: every example as long as can be, nothing trained, no file written. */
export const estimateRun = async (options: {
  readonly model: string
  readonly settings: Settings
  /** classes; null: what the model is for, or 2 */
  readonly labels: number | null
}): Promise<Estimate> => {
  const { settings } = options
  const [device, precision] = [await chooseDevice(settings.device), precisionOf(settings.precision)]
  await checkDevice(precision, device)
  const { folder, baseModelName } = await resolveModel(options.model, {})
  const base = await openModelFolder(folder, { baseModelName, memory: Infinity })
  const method = methodOf(settings.method)
  const { steps } = runLength(method, { ...settings, maxSteps: settings.maxSteps ?? plannedSteps }, base.model, settings.batchSize)
  const trained = method.train.tensors(startPhase(method, base.model.spec, settings), settings).map(({ name }) => name)
  precision.check?.(new Set(trained), base, method.name)
  const parts = { model: base.model, frozen: await precision.placeholders(base), method, settings, precision }
  const objective = (model: Model): Assembly['objective'] =>
    options.labels === null && base.outputs.taskType === 'causal'
      ? causalLM(model, method)
      : sequenceClassification(model, { labels: options.labels ?? 2, taskType: 'classification' })
  const assembly = assemble(parts, objective)
  const tokenizer = await loadTokenizer(base.folder, base.model) // a run has one too
  const inputIds = new Int32Array(settings.maxLength)
  const examples: Examples<TokenizedExample> = { length: settings.batchSize, at: () => ({ inputIds }) }
  tokenizer.encode('', undefined, settings.maxLength)
  return estimateOf({ ...assembly, settings }, { training: examples, evaluation: examples }, steps, process.memoryUsage.rss() + ofRun)
}

/** What a run holds by then and this process does not: a second thread with its own heap, and what reading weights and texts leaves. Measured: 70 to 90 MB. */
const ofRun = 80e6

/** Enough for every method to have its phases. */
const plannedSteps = 1000

/** The phase that holds most: that of the start, or the one that follows it. */
const peakPhase = (run: Run, data: Data, steps: number): MemoryEstimate => {
  const { batchSize } = run.settings
  const virtual = run.method.train.virtualTokens?.(run.settings)
  const inside = virtual?.at === 'embeddings' ? virtual.count : 0
  const sizesOf = (examples: Examples<TokenizedExample>): Dimensions => {
    const largest = largestBatch(examples, batchSize, inside)
    return { ...largest, ...run.objective.dimensions?.(largest.tokens) }
  }
  const [training, evaluation] = [data.training, data.evaluation].map((examples) => (examples === null ? null : sizesOf(examples)))
  const phases = phasesOf(run, steps).map((phase) => memoryEstimate(run, phase, training ?? {}, evaluation ?? null))
  return phases.reduce((most, found) => (totalBytes(found) > totalBytes(most) ? found : most))
}

const phasesOf = (run: Run, steps: number): ReadonlyArray<unknown> => {
  const { method, settings, model, precision } = run
  const start = startPhase(method, model.spec, settings)
  if (method.phases.advance === undefined) return [start]
  const zeros = flatten(layoutOf(run, start), () => undefined, precision.dtype)
  const memory = Object.fromEntries((method.train.optimizerExtension?.(start, settings).names ?? []).map((name) => [name, zeros]))
  const state = {
    vectors: { parameters: zeros, firstMoment: zeros, secondMoment: zeros, memory },
    layoutOf: (phase: unknown) => layoutOf(run, phase),
    dtype: precision.dtype,
  }
  for (let part = 0; part < parts; part++) {
    const next = method.phases.advance(start, settings, { step: Math.floor((part * steps) / parts), steps }, state)
    if (next !== null) return [start, next.phase]
  }
  return [start]
}

/** A phase begins in one of so many parts of a run. */
const parts = 20

/** Recomputation, half the batch as often as it takes, and both. */
const fitting = (run: Run, data: Data, steps: number, base: number, memory: number): ReadonlyArray<Fitting> => {
  const { batchSize, gradientCheckpointing } = run.settings
  const first = (choices: ReadonlyArray<Fitting['settings']>): ReadonlyArray<Fitting> => {
    for (const settings of choices) {
      const peak = base + totalBytes(peakPhase({ ...run, settings: { ...run.settings, ...settings } }, data, steps))
      if (peak <= memory) return [{ settings, peak }]
    }
    return []
  }
  const halves = Array.from({ length: Math.floor(Math.log2(batchSize)) }, (_, i) => ({ batchSize: Math.floor(batchSize / 2 ** (i + 1)) }))
  const smaller = first(halves)
  if (gradientCheckpointing) return smaller
  const again = first([{ gradientCheckpointing: true }])
  return [
    ...again,
    ...smaller,
    ...(again.length > 0 || smaller.length > 0 ? [] : first(halves.map((half) => ({ ...half, gradientCheckpointing: true as const })))),
  ]
}
