/** One run in detail: its numbers, its settings, and whether the board can stop it. */
import { resumeCommand } from '../../../finetuning/commandLine/shell.js'
import type { Scores } from '../../../finetuning/runs/run.js'
import type { RunWorkers } from '../../../finetuning/runs/workersFile.js'
import { taskTypeNamed } from '../../../finetuning/tasks/table.js'
import { columnsOf } from '../../../finetuning/serving/runOptions.js'
import { escapeText } from '../../charts/escapeText.js'
import { bytesText, dateText, durationText, percentText, scoreText } from '../../charts/humanUnits.js'
import type { RunView } from '../events.js'
import type { RunProcess } from '../runProcess.js'
import type { WatchedRun } from '../watchRun.js'
import { runLine } from './runLine.js'
import { settingsOf } from './settings.js'

/** What happens to the run, and to others, when its process is stopped. */
export const stopEffect = ({ command, pid }: RunProcess, { folder }: Pick<WatchedRun, 'folder'>): string =>
  command === 'cell'
    ? `Process ${pid} finishes the current step and saves. It only works on this run of a sweep; the sweep continues with the others. Run the same salora glue command to resume this run.`
    : `Process ${pid} finishes the current step and saves, as after Ctrl-C. Resume with: ${resumeCommand(folder)}`

/** @param process the run's process, or why the board cannot stop it; null if the run is not running */
export const runView = (run: WatchedRun, process: RunProcess | string | null): RunView => ({
  line: runLine(run),
  numbers: numbersOf(run),
  settings: run.config === null ? [] : settingsOf(run.config),
  stopEffect: process === null || typeof process === 'string' ? null : stopEffect(process, run),
  stopObstacle: typeof process === 'string' ? process : null,
  ...sentenceOf(run),
  resume: resumeHint(run),
})

/** A run has an adapter when it has ended after a step. */
const sentenceOf = ({ config, result }: WatchedRun): Pick<RunView, 'sentence' | 'sentenceObstacle'> => {
  if (config === null || result === null || result.stepsDone === 0) return { sentence: null, sentenceObstacle: null }
  if (taskTypeNamed(result.taskType)?.command === 'generate')
    return { sentence: null, sentenceObstacle: 'This run writes text: salora generate and salora serve answer its prompts.' }
  return { sentence: columnsOf(config).textPair === undefined ? 'text' : 'pair', sentenceObstacle: null }
}

const numbersOf = ({ metrics, result, workers }: WatchedRun): RunView['numbers'] => {
  const evaluations = result ?? metrics
  const scores = (name: string, of: Scores = {}) =>
    Object.entries(of).map(([metric, value]) => [`${name} ${metric}`, textOf(value, (score) => scoreText(metric, score))] as const)
  const trained = Object.entries(result?.trainableParameters ?? {})
  const numbers: ReadonlyArray<readonly [string, number | string | null | undefined]> = [
    ['workers', workers?.workers],
    ['parts per second', workers?.partsPerSecond],
    ['slowest worker', textOf(workers?.slowest, slowestText)],
    ['λ', result?.lambda ?? metrics.lambda],
    ...scores('best', evaluations.best?.scores),
    ...scores('last', evaluations.last?.scores),
    ['target density', result?.targetDensity],
    ['expected density', result?.expectedDensity ?? metrics.density],
    ['retained density', textOf(result?.retainedDensity, percentText)],
    ['retained parameters', result?.retainedParameters],
    ...trained.map(([part, count]) => [`trained parameters: ${part}`, count] as const),
    ['time', textOf(result?.seconds, durationText)],
    ['peak memory', textOf(result?.peakMemoryBytes, bytesText)],
    ['finished', textOf(result?.finishedAt, dateText)],
  ]
  return numbers.flatMap(([name, value]) => (value === null || value === undefined ? [] : [[escapeText(name), value] as const]))
}

const slowestText = ({ worker, seconds }: NonNullable<RunWorkers['slowest']>): string =>
  escapeText(`${seconds.toFixed(2)} s a part (${worker})`)

/** A score may be null in result.json, where JSON has no NaN. */
const textOf = <Value>(value: Value | null | undefined, text: (value: Value) => string): string | null =>
  value === null || value === undefined ? null : text(value)

const resumeHint = ({ status, sweep, folder }: WatchedRun): string | null => {
  if (status !== 'interrupted' && status !== 'crashed' && status !== 'failed') return null
  return sweep === null ? resumeCommand(folder) : 'the same salora glue command'
}
