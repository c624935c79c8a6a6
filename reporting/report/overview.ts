/** The first screen of a report: how good, how big, how long, each as one large number with its baseline. */
import { mean } from 'simple-statistics'
import { shareInWords } from '../../finetuning/metrics/confidence.js'
import { metricTitle } from '../../finetuning/metrics/index.js'
import type { FinishedRun } from '../runs/collectRuns.js'
import { namedConfigs } from '../runs/runNames.js'
import { bestSeries, compareScores, lastScore, scoredSeries, trainedParameters, type Scored } from '../runs/scores.js'
import type { Series } from '../runs/series.js'
import { escapeText } from '../text/html.js'
import { bytesText, countText, dateText, differenceText, durationText, percentText, plural, scoreText } from '../text/units.js'
import type { BigNumber } from './sections.js'

export type Overview = {
  readonly heading: string
  /** the score as a sentence; null: no run has one, or several tasks have */
  readonly verdict: string | null
  /** model, method, data and date */
  readonly lead: string
  readonly numbers: readonly BigNumber[]
}

export const buildOverview = (runs: readonly FinishedRun[], series: readonly Series[], name: string): Overview => {
  const tasks = [...new Set(series.map(({ task }) => task))]
  const [task] = tasks
  const heading = tasks.length === 1 && task !== undefined ? task : name
  const best = bestSeries(series)
  const verdict = best[0] === undefined || best.length > 1 ? null : writeVerdict(best[0])
  return { heading, verdict, lead: writeLead(runs, series, tasks), numbers: listNumbers(best, series) }
}

/** `82.2 % right on 600 held-out rows; always answering “negative” gets 50.0 %` */
const writeVerdict = ({ metric, score, runs, label, lowerIsBetter }: Scored): string => {
  const [run] = runs
  const onTest = runs.length === 1 ? run?.result.test?.scores[metric] : undefined
  const { evaluation = 0, test = 0 } = run?.result.examples ?? {}
  const count = onTest === undefined ? evaluation : test
  const rows = count === 0 ? '' : ` on ${plural(count, onTest === undefined ? 'held-out row' : 'test row')}`
  const majority = run?.result.majority ?? null
  const value = scoreText(metric, onTest ?? score)
  const what =
    metric === 'accuracy' ? `${value} right` : `${metricTitle(metric).title} ${value}${lowerIsBetter === true ? ' (less is better)' : ''}`
  const mean = runs.length === 1 ? '' : `, the mean of ${plural(runs.length, 'run')} of ${label}`
  const guess =
    metric === 'accuracy' && majority !== null
      ? `; always answering “${escapeText(majority.label)}” gets ${percentText(majority.share)}`
      : ''
  return `${what}${rows}${mean}${guess}.`.replaceAll(' %', '\u00a0%')
}

const writeLead = (runs: readonly FinishedRun[], series: readonly Series[], tasks: readonly string[]): string => {
  const named = namedConfigs(runs.map(({ config }) => config))
  const models = [...new Set(runs.map(({ config }) => modelName(config.model, named.get(config)?.model)))]
  const methods = [...new Set(runs.map(({ config }) => escapeText(String(config.settings.method))))]
  const [first] = runs
  const examples = tasks.length === 1 && first !== undefined ? first.result.examples : null
  const finished = runs
    .flatMap(({ result }) => result.finishedAt ?? [])
    .sort()
    .at(-1)
  return [
    `${models.length > 2 ? plural(models.length, 'model') : models.join(' and ')} fine-tuned with ${methods.join(', ')}`,
    runs.length === 1
      ? ''
      : `${plural(runs.length, 'run')} in ${series.length} series${tasks.length > 1 ? ` of ${plural(tasks.length, 'task')}` : ''}`,
    examples === null ? '' : `${plural(examples.training, 'training example')}, evaluated on ${countText(examples.evaluation)}`,
    finished === undefined ? '' : dateText(finished),
  ]
    .filter((part) => part !== '')
    .join(' · ')
}

/** The folder of the embedded model says nothing. */
const modelName = (path: string, name = ''): string =>
  /finetuning[\\/]embedded[\\/]model$/.test(path) ? 'Embedded model' : escapeText(name)

/** A score for each task, each with its task and run if there are several, and what the first one's runs took. */
const listNumbers = (all: readonly Scored[], series: readonly Series[]): readonly BigNumber[] => {
  const [best] = all
  if (best === undefined) return []
  const hasTasks = new Set(series.map(({ task }) => task)).size > 1
  const taken = [size(best), duration(best), memory(best)]
  const of = series.length > 1 ? [seriesName(best, hasTasks)] : []
  return [
    ...all.map((one) => goodness(one, series, hasTasks)),
    ...taken.map((number) => ({ ...number, details: [...of, ...number.details] })),
  ]
}

const seriesName = ({ label, runs, task }: Scored, hasTasks: boolean): string =>
  `${hasTasks ? `${task}, ` : ''}${label}${runs.length > 1 ? `, mean of ${plural(runs.length, 'run')}` : ''}`

/** Of one run with test data, the score on it: it took no part in choosing anything. */
const goodness = (best: Scored, series: readonly Series[], hasTasks: boolean): BigNumber => {
  const { metric, runs } = best
  const [run] = runs
  const onTest = runs.length === 1 ? run?.result.test?.scores[metric] : undefined
  const score = onTest ?? best.score
  const [value = '', unit = ''] = scoreText(metric, score).split(' ')
  const majority = run?.result.majority ?? null
  const isAccuracy = metric === 'accuracy'
  const { evaluation = 0, test = 0 } = run?.result.examples ?? {}
  const folds = runs.length === 1 ? run?.result.folds : undefined
  const rows = isAccuracy && runs.length === 1 ? shareInWords(score, onTest === undefined ? evaluation : test) : null
  const last = run === undefined || runs.length > 1 ? null : lastScore(run.result, metric)
  const others = scoredSeries(series).filter((one) => one.task === best.task && one.label !== best.label)
  const [second] = [...others].sort((a, b) => compareScores(best, b.score, a.score))
  const isNamed = hasTasks || second !== undefined || runs.length > 1
  return {
    name: `${hasTasks ? `${best.task}: ` : ''}${metricTitle(metric).title}${onTest === undefined ? '' : ' on test data'}`,
    value,
    unit,
    details: [
      onTest === undefined ? '' : `${folds === undefined ? 'on evaluation data' : `by ${folds} folds`}: ${scoreText(metric, best.score)}`,
      isAccuracy && majority !== null
        ? `${differenceText(metric, score - majority.share)} over always “${escapeText(majority.label)}” (${percentText(majority.share)})`
        : '',
      rows === null ? '' : `${rows}${folds === undefined || onTest !== undefined ? '' : `, by ${folds} folds`}`,
      isNamed
        ? seriesName(best, hasTasks) +
          (second === undefined
            ? ''
            : `; next${onTest === undefined ? '' : ' on evaluation data'}: ${second.label} ${scoreText(metric, second.score)}`)
        : '',
      run === undefined || runs.length > 1 ? '' : savedStepText(run, last === null ? null : scoreText(metric, last)),
    ].filter((line) => line !== ''),
    bar: unit === '%' ? { share: score, baseline: isAccuracy ? (majority?.share ?? null) : null } : null,
  }
}

const savedStepText = ({ result: { kept, best, last } }: FinishedRun, lastText: string | null): string => {
  const step = kept?.step ?? best?.step ?? last.step
  return `kept: step ${step}${lastText === null || step === last.step ? '' : `; the last, step ${last.step}: ${lastText}`}`
}

const size = ({ runs }: Scored): BigNumber => {
  const [run] = runs
  const { method, head } = run === undefined ? { method: 0, head: 0 } : trainedParameters(run.result)
  const retained = run?.result.retainedParameters ?? null
  const adapter = run?.result.trainableParameters['adapter'] ?? method // without the gates
  const whole = run?.result.modelParameters ?? null
  const shown = retained ?? method
  const [value = '', unit = ''] = countText(shown).split(' ')
  return {
    name: retained === null ? 'Trained parameters' : 'Parameters kept',
    value,
    unit,
    details: [
      whole === null || shown >= whole ? '' : `${share(shown, whole)} of the model's ${countText(whole)}`,
      retained === null ? '' : `${percentText(retained / Math.max(1, adapter))} of the adapter's ${countText(adapter)}`,
      head === 0 ? '' : `and ${countText(head)} in the head`,
    ].filter((line) => line !== ''),
    bar:
      retained !== null
        ? { share: retained / Math.max(1, adapter), baseline: null }
        : whole === null
          ? null
          : { share: shown / whole, baseline: null },
  }
}

const share = (part: number, whole: number): string => (part / whole < 0.001 ? 'under 0.1 %' : percentText(part / whole))

const duration = ({ runs }: Scored): BigNumber => {
  const results = runs.map(({ result }) => result)
  const seconds = mean(results.map((result) => result.seconds))
  const [value = '', ...units] = durationText(seconds).split(' ')
  const [first] = results
  return {
    name: 'Time',
    value,
    unit: units.join(' '),
    details: [
      first === undefined
        ? ''
        : `${plural(first.stepsDone, 'step')}, ${Number((seconds / Math.max(1, first.stepsDone)).toPrecision(2))} s each`,
      first === undefined ? '' : `on ${escapeText(first.device)}${first.precision === undefined ? '' : `, ${escapeText(first.precision)}`}`,
      results.some(({ interrupted }) => interrupted) ? 'interrupted before its end' : '',
    ].filter((line) => line !== ''),
    bar: null,
  }
}

const memory = ({ runs }: Scored): BigNumber => {
  const peak = Math.max(...runs.map(({ result }) => result.peakMemoryBytes))
  const [value = '', unit = ''] = bytesText(peak).split(' ')
  return { name: 'Peak memory', value, unit, details: ['of the whole process'], bar: null }
}
