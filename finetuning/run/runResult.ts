/** What a run says of itself: the facts before its first step, result.json, and the tensors of its adapter. */
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { peakMemory } from '../../accelerated/engines/inNode.js'
import type { Adapter, Weights } from '../../accelerated/formats/adapter.js'
import { selectHead, type ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { InferenceState, RunState } from '../../accelerated/parameters/runState.js'
import { viewTensor } from '../../accelerated/parameters/vectors.js'
import { buildLayout, type Assembly } from '../../accelerated/training/assembly.js'
import type { TrainingResult } from '../../accelerated/training/events.js'
import type { Settings } from '../../accelerated/training/resolveSettings.js'
import type { LoadedTask } from '../tasks/index.js'
import type { ChosenMetric, Scoring, TaskData } from '../tasks/taskType.js'
import type { Calibration, Extended, RunFacts, RunResult, TestScores } from './run.js'

/** The part of a run that does not depend on its examples. */
export type RunAssembly = Assembly & { readonly settings: Settings }

/** What is certain before the first step. */
export const describeRun = (
  { method, model, settings }: Pick<RunAssembly, 'method' | 'model' | 'settings'>,
  data: LoadedTask & Pick<TaskData, 'metric'>,
  { phase }: RunState,
  {
    outputs,
    folds,
    ...others
  }: Pick<RunFacts, 'device' | 'revision' | 'modelParameters' | 'majority'> & {
    readonly outputs: ModelOutputs
    readonly folds: number | undefined
  },
): RunFacts => ({
  taskType: data.taskType.name,
  device: others.device,
  precision: settings.precision,
  revision: others.revision,
  examples: {
    training: data.train.examples.length,
    evaluation: data.evaluation.examples.length,
    ...(data.test === undefined ? {} : { test: data.test.examples.length }),
  },
  ...(others.modelParameters === undefined ? {} : { modelParameters: others.modelParameters }),
  trainableParameters: {
    ...method.reporting?.parameterCounts?.(phase, settings),
    ...countHead(selectHead(model, outputs, method).tensors),
  },
  ...(folds === undefined ? {} : { folds }),
  selectedBy: nameSelector(data),
  ...(data.metric === undefined ? {} : { customMetric: toDirection(data.metric) }),
  ...(data.positive === undefined ? {} : { positive: data.labelNames?.[data.positive] ?? String(data.positive) }),
  majority: others.majority,
})

/** The number of a tensor's numbers. */
export const countNumbers = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1)

const countHead = (tensors: ReadonlyMap<string, readonly number[]>): { readonly head?: number } => {
  const head = [...tensors.values()].reduce((sum, shape) => sum + countNumbers(shape), 0)
  return head === 0 ? {} : { head }
}

const nameSelector = ({ metric, metrics, selectionMetric }: Scoring & Pick<TaskData, 'metric'>): string => {
  if (metric?.selects === true) return metric.definition.name
  return selectionMetric === 'mean' ? `mean of ${metrics.join(' and ')}` : selectionMetric
}

const toDirection = ({ definition: { name, higherIsBetter } }: ChosenMetric): NonNullable<RunFacts['customMetric']> => ({
  name,
  higherIsBetter,
})

/** The state that is saved in adapter/: the best one, or the last one if `loadBestModelAtEnd` is off or nothing was evaluated. */
export const selectState = ({ loadBestModelAtEnd }: Pick<Settings, 'loadBestModelAtEnd'>, { best, inference, last }: TrainingResult) =>
  loadBestModelAtEnd !== true || best === null
    ? ({ inference, which: 'last', step: last.step } as const)
    : ({ inference: best, which: 'best', step: best.step } as const)

/** The content of result.json. */
export const toResult = (
  { method, settings }: Pick<RunAssembly, 'method' | 'settings'>,
  trained: TrainingResult,
  facts: RunFacts,
  {
    test,
    extended,
    calibration,
    ...run
  }: Pick<RunResult, 'output' | 'steps' | 'seconds'> & {
    readonly calibration: Calibration | null
    readonly extended: readonly Extended[]
    readonly test: TestScores | null
  },
): RunResult => {
  const { best, last, lastEvaluation, interrupted, stoppedEarly, byMatrix } = trained
  const { inference, which, step } = selectState(settings, trained)
  return {
    ...facts,
    best: best === null ? null : { step: best.step, scores: best.scores, selection: best.selection },
    last: { step: lastEvaluation?.step ?? last.step, scores: lastEvaluation?.scores ?? {} },
    stepsDone: last.step,
    ...(calibration === null ? {} : { calibration }),
    ...(test === null ? {} : { test }),
    kept: { which, step },
    interrupted,
    ...(stoppedEarly ? { stoppedEarly } : {}),
    ...(extended.length > 0 ? { extended } : {}),
    ...method.reporting?.result?.(inference.phase, settings),
    ...byMatrix,
    steps: run.steps,
    seconds: run.seconds,
    peakMemoryBytes: peakMemory(),
    finishedAt: new Date().toISOString(),
    seed: settings.seed,
    output: run.output,
  }
}

/** The adapter to export: its tensors by name. */
export const toAdapter = (
  run: RunAssembly,
  { model, baseModelName }: Pick<ModelFolder, 'model' | 'baseModelName'>,
  outputs: ModelOutputs,
  { phase, parameters }: InferenceState,
  labelNames: readonly string[] | undefined,
): Adapter => {
  const { method, settings, objective } = run
  const layout = buildLayout(run, phase)
  const trained = (name: string): ArrayLike<number> => viewTensor(layout, parameters, name)
  const shapes = selectHead(model, outputs, method).tensors
  const head = new Map([...shapes.keys()].map((name) => [name, trained(name)]))
  const inFile = objective.headInFiles?.write(head) ?? head
  return {
    model,
    baseModelName,
    method,
    settings,
    phase,
    outputs,
    labelNames,
    tensors: new Map(method.train.tensors(phase, settings).map(({ name, shape }) => [name, toWeights(shape, trained(name))])),
    head: new Map([...inFile].map(([name, numbers]) => [name, toWeights(shapes.get(name) ?? [], numbers)])),
  }
}

const toWeights = (shape: readonly number[], numbers: ArrayLike<number>): Weights => ({ shape, data: Float32Array.from(numbers) })
