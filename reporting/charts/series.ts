/** Runs that differ by their seed alone are one series of a figure and one line of a table; what they are called is what tells them from others. */
import { basename } from 'node:path'
import { GLUE_TASKS } from '../../finetuning/data/glueTasks.js'
import type { RunConfig, RunResult, Scores } from '../../finetuning/runs/run.js'
import type { FoundRun } from '../report/collectRuns.js'
import { escapeText } from './escapeText.js'

export type Series = {
  readonly task: string
  /** the score that figures and tables show of this task: Table 1's, or the first that the run has */
  readonly score: string
  /** a row of a sweep, or the method with the settings that others of its task differ in */
  readonly label: string
  readonly runs: ReadonlyArray<FoundRun>
}

/** What does not make another series: the seed, and what the machine and the running are. */
const without: ReadonlySet<string> = new Set(['seed', 'device', 'threads', 'saveSteps', 'gradientCheckpointing'])

/** Paths are told by their last name: a page is handed on. */
export const taskOf = ({ task }: Pick<RunConfig, 'task'>): string => escapeText(basename(String(task.task)))

const isGlue = (task: string): task is keyof typeof GLUE_TASKS => Object.hasOwn(GLUE_TASKS, task)

/** The score that is shown of a task, of those that a run has. */
export const scoreNameOf = (task: string, scores: Scores): string => {
  const own = isGlue(task) ? GLUE_TASKS[task].paperMetric : null
  return own !== null && own in scores ? own : escapeText(Object.keys(scores)[0] ?? 'loss')
}

/** The last evaluation's, as result.json has it; null where the run has none. */
export const lastScore = ({ last }: Pick<RunResult, 'last'>, score: string): number | null => last.scores[score] ?? null

export type Facts = ReadonlyMap<string, string>

/** Whatever tells a run from another, as text by name. */
export const factsOf = ({ config }: FoundRun): Facts =>
  new Map<string, string>([
    ['model', basename(config.model)],
    ...(config.adapter === undefined ? [] : [['adapter', basename(config.adapter)] as const]),
    ...Object.entries(config.task)
      .filter(([name]) => name !== 'task')
      .map(([name, value]) => [name, name === 'data' ? basename(String(value)) : String(value)] as const),
    ...Object.entries(config.settings)
      .filter(([name]) => !without.has(name))
      .map(([name, value]) => (name === 'targetModules' ? (['matrices', placesOf(value)] as const) : ([name, textOf(value)] as const))),
  ])

const textOf = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

/** Matrices of one layer by the layer; others by their names. */
const placesOf = (modules: unknown): string => {
  if (!Array.isArray(modules)) return modules === null ? 'all' : textOf(modules)
  const layers = new Set(modules.map((name) => /\.(\d+)\./.exec(String(name))?.[1]))
  const [layer] = layers
  return layers.size === 1 && layer !== undefined ? `layer ${layer}` : modules.join(' ')
}

/** In the order in which the runs came, by task. */
export const seriesOf = (runs: ReadonlyArray<FoundRun>): ReadonlyArray<Series> => {
  const facts = new Map(runs.map((run) => [run, factsOf(run)]))
  const byTask = grouped(runs, ({ config }) => taskOf(config))
  return [...byTask].flatMap(([task, ofTask]) => {
    const names = labelsOf(ofTask, facts)
    const score = scoreNameOf(task, ofTask.find(({ result }) => Object.keys(result.last.scores).length > 0)?.result.last.scores ?? {})
    return [...grouped(ofTask, (run) => names.get(run) ?? '')].map(([label, members]) => ({ task, score, label, runs: members }))
  })
}

/** Rows of two sweeps, or of one beside other runs, are told apart by the sweep: another model may stand behind the same row. */
const labelsOf = (runs: ReadonlyArray<FoundRun>, facts: ReadonlyMap<FoundRun, Facts>): ReadonlyMap<FoundRun, string> => {
  const isMixed = new Set(runs.map(({ place }) => place?.sweep ?? null)).size > 1
  const inTables = runs.flatMap((run) => (run.place === null ? [] : [{ run, ...run.place }]))
  return new Map([
    ...inTables.map(({ run, sweep, row }) => [run, escapeText(isMixed ? `${row} (${sweep})` : row)] as const),
    ...methodLabels(
      runs.filter(({ place }) => place === null),
      facts,
    ),
  ])
}

/** The method of each run, with the facts in which runs of that method differ. */
export const methodLabels = (runs: ReadonlyArray<FoundRun>, facts: ReadonlyMap<FoundRun, Facts>): ReadonlyMap<FoundRun, string> => {
  const labels = new Map<FoundRun, string>()
  for (const [method, same] of grouped(runs, ({ config }) => String(config.settings.method))) {
    const differing = namesDiffering(same.map((run) => facts.get(run) ?? new Map()))
    for (const run of same) {
      const more = differing.map((name) => `${inWords(name)} ${facts.get(run)?.get(name) ?? 'none'}`)
      labels.set(run, escapeText([method, ...more].join(', ')))
    }
  }
  return labels
}

/** `learningRate` → `learning rate` */
const inWords = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

const namesDiffering = (facts: ReadonlyArray<Facts>): ReadonlyArray<string> =>
  [...new Set(facts.flatMap((one) => [...one.keys()]))].filter((name) => new Set(facts.map((one) => one.get(name))).size > 1)

export const grouped = <T>(values: ReadonlyArray<T>, keyOf: (value: T) => string): ReadonlyMap<string, ReadonlyArray<T>> => {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group === undefined) groups.set(keyOf(value), [value])
    else group.push(value)
  }
  return groups
}
