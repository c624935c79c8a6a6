/** What is known of a run before its first step, for result.json and the terminal. */
import { headOf } from '../../accelerated/models/modelOutputs.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import type { Assembly } from '../../accelerated/training/assembly.js'
import type { Settings } from '../../accelerated/training/settings.js'
import type { Task } from '../tasks/index.js'
import type { ChosenMetric, Scoring, TaskAdapter, TaskData } from '../tasks/taskType.js'
import type { RunFacts } from './run.js'

export const runFacts = (
  { method, model, settings }: Pick<Assembly, 'method' | 'model'> & { readonly settings: Settings },
  data: Task & Pick<TaskData, 'metric'>,
  { outputs, majority }: Pick<TaskAdapter<TrainingExample, unknown>, 'outputs' | 'majority'>,
  { phase }: RunState,
  place: Pick<RunFacts, 'device' | 'revision' | 'modelParameters'>,
): RunFacts => {
  const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)
  const head = [...headOf(model, outputs, method).tensors.values()].reduce((sum, shape) => sum + sizeOf(shape), 0)
  return {
    taskType: data.taskType.name,
    device: place.device,
    precision: settings.precision,
    revision: place.revision,
    examples: {
      training: data.train.examples.length,
      evaluation: data.evaluation.examples.length,
      ...(data.test === undefined ? {} : { test: data.test.examples.length }),
    },
    ...(place.modelParameters === undefined ? {} : { modelParameters: place.modelParameters }),
    trainableParameters: { ...method.reporting?.parameterCounts?.(phase, settings), ...(head === 0 ? {} : { head }) },
    selectedBy: selectorOf(data),
    ...(data.metric === undefined ? {} : { customMetric: directionOf(data.metric) }),
    ...(data.positive === undefined ? {} : { positive: data.labelNames?.[data.positive] ?? String(data.positive) }),
    majority,
  }
}

const selectorOf = ({ metric, metrics, selectionMetric }: Scoring & Pick<TaskData, 'metric'>): string => {
  if (metric?.selects === true) return metric.definition.name
  return selectionMetric === 'mean' ? `mean of ${metrics.join(' and ')}` : selectionMetric
}

const directionOf = ({ definition: { name, higherIsBetter } }: ChosenMetric): NonNullable<RunFacts['customMetric']> => ({
  name,
  higherIsBetter,
})
