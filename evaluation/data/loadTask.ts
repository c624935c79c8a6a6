/** A task by its name or file, looked up among the kinds that there are. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { isHubAddress, resolveDataset } from '../../accelerated/files/hub/hubDataset.js'
import { type Mistake, mistake, quoted } from '../../accelerated/files/mistake.js'
import { metricsOf, type Scoring, type SelectionMetric } from '../metrics/score.js'
import { flagOf } from '../commandLine.js'
import { caught } from './caught.js'
import type { Evaluation, Task, TaskKind, TaskOptions } from './task.js'
import { taskFlags } from './taskFlags.js'
import { tasks } from './tasks.js'
import { oneOf } from './wording.js'

/** Every task that has a name. */
export const taskNames: ReadonlyArray<string> = tasks.flatMap(({ names }) => names)

/** Whether `evalData` is the name of a part of the task's own data, whatever file has that name. */
export const isPart = (task: string, evalData: string): boolean =>
  tasks.find(({ recognises }) => recognises(task))?.parts?.includes(evalData) === true

/** Train and evaluation data of a task, or the first mistake met. */
export const loadTask = async (options: TaskOptions): Promise<E.Either<Mistake, Task>> => {
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
export const loadEvaluation = async (options: TaskOptions): Promise<E.Either<Mistake, Evaluation>> => {
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
const withFolder = async ({ hub, help }: TaskKind, options: TaskOptions): Promise<E.Either<Mistake, TaskOptions>> => {
  const { task, data } = options
  if (data === undefined || !isHubAddress(data)) return E.right(options)
  if (hub === undefined) return E.left(mistake('--data', `a file or folder on this machine, for ${help}`, quoted(data)))
  return pipe(
    await caught(() => resolveDataset(data, hub(task))),
    E.map((folder) => ({ ...options, data: folder })),
  )
}

/** Scored as `positive` and `select` say, whatever the kind. */
const asChosen = <T extends Scoring>(
  task: T,
  labelNames: ReadonlyArray<string> | null,
  { positive, select }: TaskOptions,
): E.Either<Mistake, T> => {
  if (positive !== undefined && task.problem === 'multi-label')
    return E.left(mistake('--positive', 'none with --problem multi-label, where every class has its own F1', quoted(positive)))
  const place = positive === undefined ? task.positive : labelNames?.indexOf(positive)
  if (positive !== undefined && (place === undefined || place < 0))
    return E.left(mistake('--positive', labelNames === null ? noClass(task) : oneOf(labelNames), quoted(positive)))
  const named = place === undefined ? task : { ...task, positive: place }
  if (select === undefined) return E.right(named)
  const known: ReadonlyArray<string> = [...metricsOf(named), ...(named.metrics.length > 1 ? ['mean'] : [])]
  if (known.includes(select)) return E.right({ ...named, selectionMetric: select as SelectionMetric })
  return E.left(
    mistake(
      '--select',
      select === 'f1' ? '--positive, which names the class that f1 is of' : oneOf(known),
      select === 'f1' ? 'none given' : quoted(select),
    ),
  )
}

const noClass = ({ problem }: Scoring): string => `no class, as ${problem === 'causal' ? 'text' : 'a regression'} has none`

const kindOf = (options: TaskOptions): E.Either<Mistake, TaskKind> => {
  const { task } = options
  const kind = tasks.find(({ recognises }) => recognises(task))
  if (kind === undefined) return E.left(mistake('--task', known(), quoted(task)))
  const stray = taskFlags.find(({ name }) => options[name] !== undefined && kind.flags?.some((flag) => flag.name === name) !== true)
  return stray === undefined
    ? E.right(kind)
    : E.left(mistake(flagOf(stray.name), `none with --task ${task}`, quoted(String(options[stray.name]))))
}

/** All names, and what the tasks without a name are. */
const known = (): string =>
  [oneOf(taskNames, Infinity), ...tasks.filter(({ names }) => names.length === 0).map(({ help }) => help)].join(', or ')
