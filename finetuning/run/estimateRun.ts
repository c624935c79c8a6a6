/** Estimates a run's peak memory before its first step and, if it exceeds the available memory, finds settings that fit. */
import { startPhase } from '../../accelerated/methods/startPhase.js'
import { withTrainedTokens } from '../../accelerated/methods/trainedTokens.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { option } from '../../accelerated/errors/words.js'
import { memoryLimit } from '../../accelerated/engines/inNode.js'
import type { Examples, TokenizedExample } from '../../accelerated/models/packing.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import type { Card } from '../../accelerated/engines/nativeMachine.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { findMethod, parseSettings, type Settings } from '../../accelerated/training/resolveSettings.js'
import { assemble, buildLayout, type Assembly } from '../../accelerated/training/assembly.js'
import { runTokens, withTokenFiles } from './runTokens.js'
import { memoryEstimate, totalBytes, type MemoryEstimate } from './memoryEstimate.js'
import type { SampleMemory } from './sampleMemory.js'
import { sampleTokens } from './samplePrompts.js'
import type { Dimensions } from '../../accelerated/training/dropoutFeeds.js'
import { flatten } from '../../accelerated/parameters/vectors.js'
import { runLength } from '../../accelerated/training/runLength.js'
import { largestBatch } from '../../accelerated/training/batchFeeds.js'

/** In bytes. base: the process before its graphs are built · peak: the total · memory: the available memory */
export type Estimate = MemoryEstimate & {
  readonly base: number
  readonly peak: number
  readonly memory: number
  /** the card whose memory it is; absent: the memory of the machine */
  readonly card?: string
  /** If the peak exceeds the memory: settings that fit, each with its peak. */
  readonly fitting: readonly Fitting[]
}

export type Fitting = { readonly settings: { readonly gradientCheckpointing?: true; readonly batchSize?: number }; readonly peak: number }

/** A run's tokenized examples: their lengths decide its memory. */
type Data = {
  readonly training: Examples<TokenizedExample>
  readonly evaluation: Examples<TokenizedExample> | null
  readonly samples?: SampleMemory
}

type Run = Assembly & { readonly settings: Settings }

/** @param base bytes of the process without the graphs @param steps of the whole run, which determine its phases */
export const buildEstimate = (run: Run, data: Data, steps: number, base: number, memory = memoryLimit()): Estimate => {
  const largest = peakPhase(run, data, steps)
  const peak = base + totalBytes(largest)
  return { ...largest, base, peak, memory, fitting: peak > memory ? fitting(run, data, steps, base, memory) : [] }
}

/** The same on a card, which holds the tensors of the graphs and not what Node holds. */
export const estimateOnCard = (run: Run, data: Data, steps: number, { name, memoryBytes }: Card): Estimate => ({
  ...buildEstimate(run, data, steps, cardOverhead, memoryBytes),
  card: name,
})

/** Bytes for CUDA itself and its libraries: an allowance, not a measurement. */
const cardOverhead = 500e6

/** The estimate of `salora estimate`: assumes that every example has `maxLength` tokens; trains nothing and writes no file. */
export const estimateRun = async (options: {
  readonly model: string
  readonly settings: Settings
  /** The number of classes; null: a decoder's next tokens, or 2 classes. */
  readonly labels: number | null
  /** The number of prompts to answer after each evaluation, each of `maxLength` tokens; absent: none. */
  readonly samplePrompts?: number
}): Promise<Estimate> => {
  const settings = parseSettings(await withTokenFiles(options.settings))
  const [device, precision] = [await chooseDevice(settings.device), findPrecision(settings.precision)]
  await checkDevice(precision, device)
  const { folder, baseModelName } = await resolveModel(options.model, {})
  const plain = await openModelFolder(folder, { baseModelName, memory: Infinity })
  const { base, tokens } = await runTokens(plain, settings, plain.outputs)
  const method = withTrainedTokens(findMethod(settings.method), tokens)
  const { steps } = runLength(method, { ...settings, maxSteps: settings.maxSteps ?? plannedSteps }, base.model, settings.batchSize)
  const trained = method.train.tensors(startPhase(method, base.model.spec, settings), settings).map(({ name }) => name)
  precision.check?.(new Set(trained), base, method.name)
  const parts = { model: base.model, frozen: await precision.placeholders(base), method, settings, precision }
  const writesText = options.labels === null && predictsTokens(base)
  const objective = (model: Model): Assembly['objective'] =>
    writesText
      ? causalLM(model, method)
      : sequenceClassification(model, { labels: options.labels ?? 2, problemType: 'single_label_classification' })
  const assembly = assemble(parts, objective)
  const tokenizer = await base.tokenizer() // a run holds one too
  const inputIds = new Int32Array(settings.maxLength)
  const examples: Examples<TokenizedExample> = { length: settings.batchSize, at: () => ({ inputIds }) }
  tokenizer.encode('', undefined, settings.maxLength)
  const samples = await estimateSamples(assembly, settings, options.samplePrompts ?? 0, writesText)
  const [run, data] = [
    { ...assembly, settings },
    { training: examples, evaluation: examples, ...samples },
  ]
  const card = (await device.card?.()) ?? null
  return card === null ? buildEstimate(run, data, steps, process.memoryUsage.rss() + runOverhead) : estimateOnCard(run, data, steps, card)
}

/** A decoder with its head over the vocabulary. A config.json without `architectures` does not say so, and would be taken for that of a classifier. */
const predictsTokens = ({ model, outputs, frozen, others }: ModelFolder): boolean => {
  const head = model.causalHead?.().frozen
  return (
    outputs.head === 'causal' || (head !== undefined && !others.has('score.weight') && [...head.keys()].every((name) => frozen.has(name)))
  )
}

/** Generation is loaded where there are prompts. @throws InputError if the model writes no text */
const estimateSamples = async (
  assembly: Assembly,
  { maxLength }: Settings,
  prompts: number,
  writesText: boolean,
): Promise<Pick<Data, 'samples'>> => {
  if (prompts === 0) return {}
  if (!writesText) throw inputError(option('samplePrompts'), 'none with a model that writes no text', String(prompts))
  const { estimateSampleMemory } = await import('./sampleMemory.js')
  return { samples: estimateSampleMemory(assembly, { prompts, tokens: maxLength, newTokens: sampleTokens }) }
}

/** Bytes that a run holds beyond this process: a worker thread's heap and the garbage of reading weights and texts. Measured: 70 to 90 MB. */
const runOverhead = 80e6

/** Enough steps for every method to reach each of its phases. */
const plannedSteps = 1000

/** The phase with the largest estimate: the first one, or the one after it. */
const peakPhase = (run: Run, data: Data, steps: number): MemoryEstimate => {
  const { batchSize, gradientAccumulationSteps } = run.settings
  const virtual = run.method.train.virtualTokens?.(run.settings)
  const inside = virtual?.at === 'embeddings' ? virtual.count : 0
  const findSizes = (examples: Examples<TokenizedExample>): Dimensions => {
    const largest = largestBatch(examples, batchSize, inside)
    return { ...largest, ...run.objective.dimensions?.(largest.tokens, largest.batch * gradientAccumulationSteps) }
  }
  const [training, evaluation] = [data.training, data.evaluation].map((examples) => (examples === null ? null : findSizes(examples)))
  const phases = listPhases(run, steps).map((phase) => memoryEstimate(run, phase, training ?? {}, evaluation ?? null, data.samples))
  return phases.reduce((most, phase) => (totalBytes(phase) > totalBytes(most) ? phase : most))
}

const listPhases = (run: Run, steps: number): readonly unknown[] => {
  const { method, settings, model, precision } = run
  const start = startPhase(method, model.spec, settings)
  if (method.phases.advance === undefined) return [start]
  const zeros = flatten(buildLayout(run, start), () => undefined, precision.dtype)
  const memory = Object.fromEntries((method.train.optimizerExtension?.(start, settings).names ?? []).map((name) => [name, zeros]))
  const state = {
    vectors: { parameters: zeros, firstMoment: zeros, secondMoment: zeros, memory },
    buildLayout: (phase: unknown) => buildLayout(run, phase),
    dtype: precision.dtype,
  }
  for (let part = 0; part < probes; part++) {
    const next = method.phases.advance(start, settings, { step: Math.floor((part * steps) / probes), steps }, state)
    if (next !== null) return [start, next.phase]
  }
  return [start]
}

/** The number of steps, evenly spaced, at which the method is asked for its next phase. */
const probes = 20

/** Tries gradient checkpointing, then repeatedly halves the batch size, then both. */
const fitting = (run: Run, data: Data, steps: number, base: number, memory: number): readonly Fitting[] => {
  const { batchSize, gradientCheckpointing } = run.settings
  const first = (choices: readonly Fitting['settings'][]): readonly Fitting[] => {
    for (const settings of choices) {
      const peak = base + totalBytes(peakPhase({ ...run, settings: { ...run.settings, ...settings } }, data, steps))
      if (peak <= memory) return [{ settings, peak }]
    }
    return []
  }
  const halves = Array.from({ length: Math.floor(Math.log2(batchSize)) }, (_, i) => ({ batchSize: Math.floor(batchSize / 2 ** (i + 1)) }))
  const smaller = first(halves)
  if (gradientCheckpointing) return smaller
  const recomputed = first([{ gradientCheckpointing: true }])
  return [
    ...recomputed,
    ...smaller,
    ...(recomputed.length > 0 || smaller.length > 0
      ? []
      : first(halves.map((half) => ({ ...half, gradientCheckpointing: true as const })))),
  ]
}
