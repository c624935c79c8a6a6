/** The result of a search: every candidate with its scores, and the command that trains with the best one. */
import { flagsOf, inShell } from '../../finetuning/commandLine/shell.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'
import type { Trial, TuneResult } from '../../evaluation/tune/tune.js'
import { duration } from './numbers.js'
import { alignedTable } from './table.js'

/** A row for each candidate, the best one first; a column for each number of steps. */
export const tuneTable = ({ trials, rungs, best }: TuneResult): ReadonlyArray<string> => {
  const names = [...new Set([...trials].sort(byLengthAndScore).map(({ name }) => name))]
  const ordered = best === null ? names : [best.name, ...names.filter((name) => name !== best.name)]
  return alignedTable([
    ['candidate', ...rungs.map(({ steps }) => `${steps} steps`), 'time of a run'],
    ...ordered.map((name) => {
      const own = trials.filter((trial) => trial.name === name)
      const cell = (steps: number): string => {
        const trial = own.find((one) => one.steps === steps)
        if (trial === undefined) return '–'
        return `${trial.score === null ? 'failed' : trial.score.toFixed(4)}${trial === best ? ' *' : '  '}`
      }
      const seconds = own.at(-1)?.seconds ?? null
      return [name, ...rungs.map(({ steps }) => cell(steps)), seconds === null ? '–' : duration(seconds)]
    }),
  ])
}

/** Those that went furthest first, then by score; of one length, those without a score come last. */
const byLengthAndScore = (a: Trial, b: Trial): number => b.steps - a.steps || (b.score ?? -Infinity) - (a.score ?? -Infinity)

export type Tuned = { readonly model: string; readonly task: TaskOptions; readonly metric?: string }

/** The command that trains with the settings of a candidate. */
export const trainCommand = ({ model, task, metric }: Tuned, { settings, steps }: Trial): string => {
  const { method, ...values } = { ...settings, maxSteps: steps }
  return ['salora', 'train', ...flagsOf({ model, ...task, metric, method, ...values })].map(inShell).join(' ')
}
