/** The result of a finished run, and its adapter's tensors. */
import type { Adapter, Weights } from '../../accelerated/formats/adapter.js'
import { peakMemory } from '../../accelerated/engines/memoryLimit.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { headOf, type ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { layoutOf } from '../../accelerated/training/assembly.js'
import type { TrainingResult } from '../../accelerated/training/events.js'
import type { InferenceState } from '../../accelerated/parameters/runState.js'
import { tensorOf } from '../../accelerated/parameters/vectors.js'
import type { RunTask } from './prepareTask.js'
import type { Extended, RunOptions, RunFacts, RunResult, TestScores } from './run.js'

/** The state that is saved in adapter/: the best one, or the last one if `loadBestModelAtEnd` is off or nothing was evaluated. */
export const keptOf = (
  { loadBestModelAtEnd }: Pick<RunTask['settings'], 'loadBestModelAtEnd'>,
  { best, inference, last }: TrainingResult,
) =>
  !loadBestModelAtEnd || best === null
    ? ({ inference, which: 'last', step: last.step } as const)
    : ({ inference: best, which: 'best', step: best.step } as const)

export const resultOf = (
  { output }: RunOptions,
  { method, settings }: Pick<RunTask, 'method' | 'settings'>,
  trained: TrainingResult,
  facts: RunFacts,
  { steps, extended, test }: Pick<RunResult, 'steps'> & { readonly extended: ReadonlyArray<Extended>; readonly test: TestScores | null },
  seconds: number,
): RunResult => {
  const { best, last, lastEvaluation, interrupted, stoppedEarly, byMatrix } = trained
  const { inference, which, step } = keptOf(settings, trained)
  return {
    ...facts,
    best: best === null ? null : { step: best.step, scores: best.scores, selection: best.selection },
    last: { step: lastEvaluation?.step ?? last.step, scores: lastEvaluation?.scores ?? {} },
    stepsDone: last.step,
    ...(test === null ? {} : { test }),
    kept: { which, step },
    interrupted,
    ...(stoppedEarly ? { stoppedEarly } : {}),
    ...(extended.length > 0 ? { extended } : {}),
    ...method.reporting?.result?.(inference.phase, settings),
    ...byMatrix,
    steps,
    seconds,
    peakMemoryBytes: peakMemory(),
    finishedAt: new Date().toISOString(),
    seed: settings.seed,
    output,
  }
}

/** The adapter to export: its tensors by name. */
export const adapterOf = (
  task: RunTask,
  { model, baseModelName }: Pick<ModelFolder, 'model' | 'baseModelName'>,
  outputs: ModelOutputs,
  { phase, parameters }: InferenceState,
  labelNames: ReadonlyArray<string> | undefined,
): Adapter => {
  const { method, settings, objective } = task
  const layout = layoutOf(task, phase)
  const trained = (name: string): ArrayLike<number> => tensorOf(layout, parameters, name)
  const shapes = headOf(model, outputs, method).tensors
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
    tensors: new Map(method.train.tensors(phase, settings).map(({ name, shape }) => [name, weightsOf(shape, trained(name))])),
    head: new Map([...inFile].map(([name, numbers]) => [name, weightsOf(shapes.get(name) ?? [], numbers)])),
  }
}

const weightsOf = (shape: ReadonlyArray<number>, numbers: ArrayLike<number>): Weights => ({ shape, data: Float32Array.from(numbers) })
