/** The start of a run whose head is a linear probe: one pass of the frozen model over training examples, then a fit of seconds. */
import { headTensor, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { AdapterFormat } from '../../accelerated/formats/adapter.js'
import { sentenceEncoder } from '../../accelerated/models/layers/classifierHead.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { Examples } from '../../accelerated/models/packing.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { chooseProbe } from '../../accelerated/probe/linearModel.js'
import { buildLayout } from '../../accelerated/training/assembly.js'
import { toInferenceState } from '../../accelerated/training/evaluation.js'
import { forLengths } from '../../accelerated/training/batchFeeds.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import type { Runtime } from '../../accelerated/training/phaseSessions.js'
import type { Settings } from '../../accelerated/training/resolveSettings.js'
import type { Probe } from '../tasks/taskType.js'
import type { RunAssembly } from './runResult.js'

/** Examples that a probe is fitted on at most, spread over all: more change it little, and a fit takes seconds. */
export const mostProbed = 2_000

/**
 * Whether a run gives a sentence encoder a new classifier, which then begins as a probe, and the adapter's files can say what it reads. On the features
 * of other models a probe has large weights, and steps of the usual rates lost what it had won: 30 steps of SaLoRA on the embedded model ended at 0.52.
 */
export const wantsProbe = (
  { model, averages, ...base }: ModelFolder,
  { head }: Pick<Settings, 'head'>,
  outputs: ModelOutputs,
  { readsEmbeddings }: Pick<AdapterFormat, 'readsEmbeddings'>,
): boolean => {
  if (head !== 'probe' || outputs.head !== 'sequence' || outputs.readsPairs === true || !averages || readsEmbeddings !== true) return false
  const { last } = sentenceEncoder(model).sequenceHead(outputs.labels)
  return headTensor(base, `${last}.weight`, [outputs.labels, model.spec.hiddenSize]) === undefined
}

export type ProbedRun = {
  readonly assembly: RunAssembly
  readonly runtime: Runtime
  readonly probe: Probe<TrainingExample>
}

/** Examples that a probe is fitted on, with their features on the frozen model: [examples][width]. */
export type ProbeRows = { readonly examples: readonly TrainingExample[]; readonly rows: readonly ArrayLike<number>[] }

/** One pass of the model as it is before the first step, with the answers of an objective; null if the signal stopped it. */
export const answerBefore = async <O>(
  { runtime, ...assembly }: RunAssembly & { readonly runtime: Runtime },
  objective: Objective<TrainingExample, O>,
  examples: Examples<TrainingExample>,
  start: RunState,
  signal: AbortSignal,
): Promise<readonly O[] | null> => {
  const own = forLengths({ ...assembly, objective }, examples, runtime.engine)
  const { phase, parameters } = toInferenceState(own, start)
  const predictor = await openPredictor(own, objective, phase, runtime, { prepack: false })
  try {
    const batches = predictor.predictions(parameters, examples, assembly.settings.batchSize)
    for (;;) {
      const next = await batches.next()
      if (next.done === true) return next.value
      if (signal.aborted) return null
    }
  } finally {
    await predictor.release()
  }
}

/** The features of some examples, spread over all; null if the signal stopped it. */
export const computeFeatures = async (
  { assembly, runtime, probe: { features } }: ProbedRun,
  training: Examples<TrainingExample>,
  start: RunState,
  signal: AbortSignal,
): Promise<ProbeRows | null> => {
  const used = spread(training)
  const rows = await answerBefore({ ...assembly, runtime }, features, used, start, signal)
  return rows === null ? null : { examples: Array.from({ length: used.length }, (_, i) => used.at(i) as TrainingExample), rows }
}

/** `start` with the probe of these rows as its head. */
export const startFromProbe = ({ assembly, probe }: ProbedRun, { examples, rows }: ProbeRows, start: RunState): RunState => {
  const [targets, weights] = [probe.targets(examples), probe.weights(examples)]
  const { last, tensors } = assembly.model.sequenceHead(targets.classes)
  const { model } = chooseProbe({
    rows,
    targets,
    hasBias: tensors.has(`${last}.bias`),
    ...(weights === undefined ? {} : { weights }),
  })
  const numbers = new Map([
    [`${last}.weight`, model.weight],
    [`${last}.bias`, model.bias],
  ])
  const probed = start.parameters.slice()
  for (const { name, offset } of buildLayout(assembly, start.phase).entries) {
    const fitted = numbers.get(name)
    if (fitted !== undefined) probed.set(fitted, offset)
  }
  return { ...start, parameters: probed }
}

const spread = <E>(examples: Examples<E>): Examples<E> => {
  const length = Math.min(examples.length, mostProbed)
  return { length, at: (index) => examples.at(Math.floor((index * examples.length) / length)) }
}
