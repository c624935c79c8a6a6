/** Series: runs that differ only in their seed, or in the fold that they hold out. A series is one line of a figure and one row of a table. */
import { GLUE_TASKS } from '../../finetuning/data/glueTasks.js'
import type { Fold } from '../../finetuning/data/holdOut.js'
import type { RunConfig, Scores } from '../../finetuning/run/run.js'
import { group } from 'd3-array'
import { escapeText } from '../text/html.js'
import type { FinishedRun } from './collectRuns.js'
import { namedConfigs, pathName } from './runNames.js'

export type Series = {
  readonly task: string
  /** the metric that figures and tables show for this task */
  readonly metric: string
  /** of a custom metric; absent: the metric's name says which is better */
  readonly lowerIsBetter?: boolean
  /** a row of a sweep, or the method with the settings that distinguish it from other series of the task */
  readonly label: string
  readonly runs: readonly FinishedRun[]
}

/** Those of a machine with cards. */
const ofMachine = ['deviceId', 'strictDevice']

/** Settings that do not make another series: the seed, and how the run was executed. */
const ignoredSettings: ReadonlySet<string> = new Set(['seed', 'device', 'threads', 'saveSteps', 'gradientCheckpointing'].concat(ofMachine))

/** The name of one run's task; of a path, its last part, since reports are shared. */
export const taskName = ({ task }: Pick<RunConfig, 'task'>): string => escapeText(pathName(String(task.task)))

const isGlue = (task: string): task is keyof typeof GLUE_TASKS => Object.hasOwn(GLUE_TASKS, task)

/** The metric to show, among those that the run has: the one by which it was selected, that of Table 1, or the first. */
export const chooseMetric = (task: string, scores: Scores, selectedBy?: string): string => {
  const metrics = [selectedBy, isGlue(task) ? GLUE_TASKS[task].paperMetric : undefined]
  return escapeText(metrics.find((metric) => metric !== undefined && Object.hasOwn(scores, metric)) ?? Object.keys(scores)[0] ?? 'loss')
}

/** What distinguishes runs, as text by name. */
export type Traits = ReadonlyMap<string, string>

export const collectTraits = (runs: readonly FinishedRun[]): ReadonlyMap<FinishedRun, Traits> => {
  const named = namedConfigs(runs.map(({ config }) => config))
  return new Map(runs.map((run) => [run, traitsIn(named.get(run.config) ?? run.config)]))
}

const traitsIn = (config: RunConfig): Traits =>
  new Map<string, string>([
    ['model', config.model],
    ...(config.adapter === undefined ? [] : [['adapter', config.adapter] as const]),
    ...Object.entries(config.task).map(([name, value]) =>
      name === 'fold' ? (['folds', String((value as Fold).of)] as const) : ([name, String(value)] as const),
    ),
    ...Object.entries(config.settings)
      .filter(([name]) => !ignoredSettings.has(name))
      .map(([name, value]) => [name, name === 'targetModules' ? modulesText(value) : valueText(value)] as const),
  ])

const valueText = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

/** Matrices that share one layer are named by the layer. */
const modulesText = (modules: unknown): string => {
  if (!Array.isArray(modules)) return modules === null ? 'all' : valueText(modules)
  const layers = new Set(modules.map((name) => /\.(\d+)\./.exec(String(name))?.[1]))
  const [layer] = layers
  return layers.size === 1 && layer !== undefined ? `layer ${layer}` : modules.join(' ')
}

/** Series in the order of their first runs, grouped by task. */
export const groupSeries = (runs: readonly FinishedRun[]): readonly Series[] => {
  const traits = collectTraits(runs)
  const byTask = group(runs, (run) => escapeText(traits.get(run)?.get('task') ?? ''))
  return [...byTask].flatMap(([task, taskRuns]) => {
    const labels = labelRuns(taskRuns, traits)
    return splitByMetric(task, taskRuns).flatMap((runs, place) => seriesOfMetric(task, runs, labels, place))
  })
}

/** The runs of a task by what they are scored with: a classification and a regression of one file have no metric in common. */
const splitByMetric = (task: string, runs: readonly FinishedRun[]): readonly (readonly FinishedRun[])[] => {
  const { metric } = findMetric(task, runs)
  const isOther = ({ result: { last } }: FinishedRun): boolean => Object.keys(last.scores).length > 0 && !Object.hasOwn(last.scores, metric)
  const others = runs.filter(isOther)
  return others.length === 0 || others.length === runs.length
    ? [runs]
    : [runs.filter((run) => !isOther(run)), ...splitByMetric(task, others)]
}

const findMetric = (task: string, runs: readonly FinishedRun[]) => {
  const scored = runs.find(({ result }) => Object.keys(result.last.scores).length > 0)
  return { scored, metric: chooseMetric(task, scored?.result.last.scores ?? {}, scored?.result.selectedBy) }
}

/** @param place of the metric among those of the task; the second and later ones are part of the task's name */
const seriesOfMetric = (
  task: string,
  runs: readonly FinishedRun[],
  labels: ReadonlyMap<FinishedRun, string>,
  place: number,
): readonly Series[] => {
  const { scored, metric } = findMetric(task, runs)
  const custom = scored?.result.customMetric
  const direction = custom?.name === metric ? { lowerIsBetter: !custom.higherIsBetter } : {}
  const groups = group(runs, (run) => labels.get(run) ?? '')
  const name = place === 0 ? task : `${task} (${metric})`
  return [...groups].map(([label, members]) => ({ task: name, metric, ...direction, label, runs: members }))
}

/** If runs of several sweeps meet, their rows also name the sweep: two sweeps may have the same row with different models. */
const labelRuns = (runs: readonly FinishedRun[], traits: ReadonlyMap<FinishedRun, Traits>): ReadonlyMap<FinishedRun, string> => {
  const isMixed = new Set(runs.map(({ place }) => place?.sweep ?? null)).size > 1
  const ofSweeps = runs.flatMap((run) => (run.place === null ? [] : [{ run, ...run.place }]))
  const others = runs.filter(({ place }) => place === null)
  return new Map([
    ...distinguished(new Map(ofSweeps.map(({ run, sweep, row }) => [run, escapeText(isMixed ? `${row} (${sweep})` : row)]))),
    ...methodLabels(others, traits),
  ])
}

/** Adds the digests of what runs read to labels that are equal though these differ. Each fold has rows of its own. */
const distinguished = (labels: ReadonlyMap<FinishedRun, string>): ReadonlyMap<FinishedRun, string> =>
  new Map(
    [...group(labels, ([, label]) => label)].flatMap(([label, alike]) => {
      const digests = new Map(alike.map(([run]) => [run, shortenDigests(run)]))
      const folds = group([...digests], ([{ config }]) => String(config.task.fold?.index))
      const names = [...new Set([...folds.values()].flatMap((fold) => differingNames(fold.map(([, ofRun]) => ofRun))))]
      return alike.map(
        ([run]) => [run, label + names.map((name) => escapeText(`, ${name} ${digests.get(run)?.get(name) ?? 'none'}`)).join('')] as const,
      )
    }),
  )

/** The beginnings of the digests. */
const shortenDigests = ({ config: { inputs = {} } }: FinishedRun): Traits =>
  new Map(Object.entries(inputs).map(([name, value]) => [name, value.replace(/[0-9a-f]{56}$/, '')]))

/** The method of each run, with the traits that it has and in which runs of the method differ. */
export const methodLabels = (runs: readonly FinishedRun[], traits: ReadonlyMap<FinishedRun, Traits>): ReadonlyMap<FinishedRun, string> => {
  const labels = new Map<FinishedRun, string>()
  for (const [method, methodRuns] of group(runs, ({ config }) => String(config.settings.method))) {
    const names = differingNames(methodRuns.map((run) => traits.get(run) ?? new Map()))
    for (const run of methodRuns) {
      const differences = names.flatMap((name) => {
        const value = traits.get(run)?.get(name) ?? 'null'
        return value === 'null' ? [] : [`${inWords(name)} ${value}`]
      })
      labels.set(run, escapeText([method, ...differences].join(', ')))
    }
  }
  return distinguished(labels)
}

/** `learningRate` → `learning rate` */
const inWords = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

const differingNames = (traits: readonly Traits[]): readonly string[] =>
  [...new Set(traits.flatMap((run) => [...run.keys()]))].filter((name) => new Set(traits.map((run) => run.get(name))).size > 1)
