/** A run of smallBudgets.md: its model, data and fixed settings, and the row of its scores. */
import { mean, sampleStandardDeviation } from 'simple-statistics'
import { parseSettings } from '../../accelerated/training/settings.js'
import type { ComparedRun, Variant } from './comparison.js'

export type SmallBudgetRun = {
  readonly model: string
  /** folder of the official GLUE folders */
  readonly data: string
  readonly task: string
}

/** Options of a run on all but a tenth of train: 12 epochs, batches of 32, a rate of 3e-4, alpha / rank = 2, and `settings`. */
export const smallBudgetOptions = (
  { model, data, task }: SmallBudgetRun,
  { rank, ...settings }: Readonly<Record<string, unknown>> & { readonly rank: number },
): Variant['options'] => ({
  model,
  task: { task, data, holdOutTrain: true },
  settings: parseSettings({
    precision: 'int8',
    rank,
    loraAlpha: 2 * rank,
    epochs: 12,
    learningRate: 3e-4,
    batchSize: 32,
    maxLength: 128,
    threads: 1,
    ...settings,
  }),
})

/** The head of a table of `scoresRow`s. */
export const scoresHead =
  '| task | allocation and budget | numbers | scores by seed | mean | standard error |\n| --- | --- | --- | --- | --- | --- |'

/** The runs of a cell in one row: the task's first metric after the last epoch, in points. */
export const scoresRow = (task: string, name: string, runs: ReadonlyArray<ComparedRun>): string => {
  const scores = runs.map(({ result: { last } }) => 100 * (Object.values(last.scores)[0] ?? NaN))
  const error = scores.length < 2 ? NaN : sampleStandardDeviation(scores) / Math.sqrt(scores.length)
  const parameters = runs[0]?.result.trainableParameters['adapter'] ?? NaN
  const cells = [task, name, parameters, scores.map((score) => score.toFixed(2)).join(', '), mean(scores).toFixed(2), error.toFixed(2)]
  return `| ${cells.join(' | ')} |`
}
