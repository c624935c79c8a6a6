/** A task by its name or file, looked up among the kinds that there are. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { isHubAddress, resolveDataset } from '../../accelerated/checkpoints/hub/hubDataset.js'
import { type InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import { metricsOf, type Scoring, type SelectionMetric } from '../metrics/score.js'
import { flagOf } from '../commandLine/shell.js'
import { asEither } from './caught.js'
import type { Evaluation, Task, TaskSource, TaskOptions } from './task.js'
import { taskFlags } from './taskFlags.js'
import { taskSources } from './sources/index.js'
import { oneOf } from '../data/errorText.js'

/** Every task that has a name. */
export const taskNames: ReadonlyArray<string> = taskSources.flatMap(({ names }) => names)

/** Whether `evalData` is the name of a part of the task's own data, whatever file has that name. */
export const isPart = (task: string, evalData: string): boolean =>
  taskSources.find(({ recognizes }) => recognizes(task))?.parts?.includes(evalData) === true

/** Train and evaluation data of a task, or the first mistake met. */
export const loadTask = async (options: TaskOptions): Promise<E.Either<InputError, Task>> => {
  const kind = kindOf(options)
  if (E.isLeft(kind)) return kind
  const placed = await withFolder(kind.right, options)
  if (E.isLeft(placed)) return placed
  return pipe(
    await kind.right.load(placed.right),
    E.chain((task) => asChosen(task, task.labelNames, options)),
  )
}

/** The evaluation data alone, for a model already trained: the task's own, the file `evalData`, or the whole of the file `task`. */
export const loadEvaluation = async (options: TaskOptions): Promise<E.Either<InputError, Evaluation>> => {
  const kind = kindOf(options)
  if (E.isLeft(kind)) return kind
  const placed = await withFolder(kind.right, options)
  if (E.isLeft(placed)) return placed
  return pipe(
    await kind.right.loadEvaluation(placed.right),
    E.chain((task) => asChosen(task, task.evaluation.labelNames, options)),
  )
}

/** A data set of the hub becomes the folder of its files. */
const withFolder = async ({ hub, help }: TaskSource, options: TaskOptions): Promise<E.Either<InputError, TaskOptions>> => {
  const { task, data } = options
  if (data === undefined || !isHubAddress(data)) return E.right(options)
  if (hub === undefined) return E.left(inputError('--data', `a file or folder on this machine, for ${help}`, quoted(data)))
  return pipe(
    await asEither(() => resolveDataset(data, hub(task))),
    E.map((folder) => ({ ...options, data: folder })),
  )
}

/** Scored as `positive` and `select` say, whatever the kind. */
const asChosen = <T extends Scoring>(
  task: T,
  labelNames: ReadonlyArray<string> | null,
  { positiveLabel, metricForBestModel }: TaskOptions,
): E.Either<InputError, T> => {
  if (positiveLabel !== undefined && task.taskType === 'multi-label')
    return E.left(
      inputError('--positive-label', 'none with --problem-type multi-label, where every class has its own F1', quoted(positiveLabel)),
    )
  const place = positiveLabel === undefined ? task.positive : labelNames?.indexOf(positiveLabel)
  if (positiveLabel !== undefined && (place === undefined || place < 0))
    return E.left(inputError('--positive-label', labelNames === null ? noClass(task) : oneOf(labelNames), quoted(positiveLabel)))
  const named = place === undefined ? task : { ...task, positive: place }
  if (metricForBestModel === undefined) return E.right(named)
  const known: ReadonlyArray<string> = [...metricsOf(named), ...(named.metrics.length > 1 ? ['mean'] : [])]
  if (known.includes(metricForBestModel)) return E.right({ ...named, selectionMetric: metricForBestModel as SelectionMetric })
  return E.left(
    inputError(
      '--metric-for-best-model',
      metricForBestModel === 'f1' ? '--positive-label, which names the class that f1 is of' : oneOf(known),
      metricForBestModel === 'f1' ? 'none given' : quoted(metricForBestModel),
    ),
  )
}

const noClass = ({ taskType }: Scoring): string => `no class, as ${taskType === 'causal' ? 'text' : 'a regression'} has none`

const kindOf = (options: TaskOptions): E.Either<InputError, TaskSource> => {
  const { task } = options
  const kind = taskSources.find(({ recognizes }) => recognizes(task))
  if (kind === undefined) return E.left(inputError('--task', known(), quoted(task)))
  const stray = taskFlags.find(({ name }) => options[name] !== undefined && kind.flags?.some((flag) => flag.name === name) !== true)
  return stray === undefined
    ? E.right(kind)
    : E.left(inputError(flagOf(stray.name), `none with --task ${task}`, quoted(String(options[stray.name]))))
}

/** All names, and what the tasks without a name are. */
const known = (): string =>
  [oneOf(taskNames, Infinity), ...taskSources.filter(({ names }) => names.length === 0).map(({ help }) => help)].join(', or ')
