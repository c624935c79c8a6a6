/** One rank for each matrix: SaLoRA beside LoRA on six tasks, each at the rate that held-out rows chose. */
import { clusteredDifference, tInterval } from '../../../evaluation/glue/statistics.js'
import { mean } from 'simple-statistics'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { differenceText, intervalText, signed, verdict } from '../numbers.js'
import { markdown, type Region, type ResultsPage } from '../page.js'
import { readSweep, type StoredSweep } from '../storedSweeps.js'
import { lossesAfterCut, scoresOfChoices, type StoredChoices } from './componentChoice.js'
import { earlyWindow } from './earlyWindow.js'
import { bestRate } from './learningRate.js'
import { leadOnTask, onCola, onQnli } from './leadOnTask.js'
import { moreSeeds } from './moreSeeds.js'
import { early, heldOut, lora, pairsByTask, salora, tasks, type Pairs } from './rankOneRuns.js'
import { scoreByBudget } from './scoreByBudget.js'

/** Held-out scores by rate; the best of each method and task is bold. */
const heldOutRates = (sweep: StoredSweep): Region => {
  const rows = [lora, salora, early].flatMap((row) => {
    const byTask = tasks.map((task) => heldOut(sweep, task, row))
    const rates = [...new Set(byTask.flatMap((scores) => [...scores.keys()]))].sort((a, b) => a - b)
    return rates.map((rate) => [
      row.title,
      rate.toExponential(),
      ...byTask.map((scores) => {
        const text = scores.get(rate)?.toFixed(2)
        return text === undefined ? '–' : bestRate(scores) === rate ? `**${text}**` : text
      }),
    ])
  })
  return markdown(markdownTable(['method', 'rate', ...tasks], rows, ['left', 'left', ...tasks.map(() => 'right' as const)]))
}

/** A task's bootstrap over the rows of its dev set, as rowErrors.ts writes it. */
type RowErrors = { readonly tasks: ReadonlyArray<{ readonly task: string; readonly seeds: number; readonly standardError: number }> }

/** A table of pairs by task; then the mean over tasks, its error clustered by task. */
const atBestRates = (byTask: ReadonlyArray<Pairs>, errors: RowErrors): Region => {
  const rows = byTask.map(({ task, seeds, first, second, pairs }) => {
    const interval = tInterval(pairs)
    const meanOf = (scores: ReadonlyMap<number, number>): string =>
      seeds.length === 0 ? '–' : mean(seeds.map((seed) => scores.get(seed) ?? NaN)).toFixed(2)
    const difference = pairs.length === 0 ? '–' : `${signed(mean(pairs), 2)} (${intervalText(interval, 2)})`
    const ofRows = errors.tasks.find((one) => one.task === task)
    const fewer = ofRows === undefined || ofRows.seeds === pairs.length ? '' : ` (${ofRows.seeds} seeds)`
    const errorOfRows = ofRows === undefined ? '–' : `${ofRows.standardError.toFixed(2)}${fewer}`
    return [task, String(seeds.length), meanOf(first), meanOf(second), difference, errorOfRows, interval === null ? '–' : verdict(interval)]
  })
  const overall = clusteredDifference(byTask.map(({ pairs }) => pairs))
  const last = overall === null ? [] : [['all', String(overall.pairs), '', '', differenceText(overall, 2), '', verdict(overall.interval)]]
  const head = ['task', 'seeds', lora.title, salora.title, 'SaLoRA minus LoRA', 'error of the rows', 'SaLoRA is']
  return markdown(markdownTable(head, [...rows, ...last], ['left', 'right', 'right', 'right', 'left', 'right', 'left']))
}

export const rankOnePage: ResultsPage = {
  name: 'rank-one',
  regions: (read) => {
    const sweep = readSweep(read, { file: 'rank-one' })
    const windows = { ...sweep, runs: [...sweep.runs, ...readSweep(read, { file: 'early-window' }).runs] }
    const choices = read('component-choice') as StoredChoices
    const byTask = pairsByTask(sweep, lora, salora)
    return {
      'held-out': heldOutRates(windows),
      'best-rates': atBestRates(byTask, read('rank-one-rows') as RowErrors),
      'more-seeds': moreSeeds(
        byTask.map(({ pairs }) => pairs),
        16,
        'task',
        2,
      ),
      'cola-lead': leadOnTask([...sweep.runs, ...readSweep(read, { file: 'cola' }).runs], onCola),
      'qnli-lead': leadOnTask([...windows.runs, ...readSweep(read, { file: 'qnli' }).runs], onQnli),
      'early-window': earlyWindow(windows),
      cut: lossesAfterCut(choices),
      choices: scoresOfChoices(choices),
      ...scoreByBudget([sweep, readSweep(read, { file: 'budgets' })]),
    }
  },
}
