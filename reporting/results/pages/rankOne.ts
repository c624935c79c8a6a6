/** One rank for each matrix: SaLoRA beside LoRA on six tasks, each at the rate that held-out rows chose. */
import { scoreOf } from '../../../evaluation/glue/score.js'
import { clusteredDifference, tInterval } from '../../../evaluation/glue/statistics.js'
import { mean } from 'simple-statistics'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { differenceText, intervalText, signed, verdict } from '../numbers.js'
import { markdown, type Region, type ResultsPage } from '../page.js'
import { readSweep, type StoredSweep } from '../storedSweeps.js'
import { colaLead } from './colaLead.js'
import { lossesAfterCut, scoresOfChoices, type StoredChoices } from './componentChoice.js'
import { bestRate } from './learningRate.js'
import { moreSeeds } from './moreSeeds.js'
import { scoreByBudget } from './scoreByBudget.js'

const tasks = ['cola', 'mrpc', 'stsb', 'sst2', 'qnli', 'qqp'] as const
type Task = (typeof tasks)[number]

/** Rows by the names of their cells; evaluation at the end alone is in the name, since it is no default. */
const [lora, salora] = [
  { title: 'LoRA, r = 1', name: 'lora-1_eval-steps=100000' },
  { title: 'SaLoRA, from 8 to 1', name: 'salora_density=0.125_eval-steps=100000' },
] as const
type Row = typeof lora | typeof salora

/** Scores of a row's cells in percent, by what their names have between the row and the end. */
const scoresOf = ({ runs }: StoredSweep, task: Task, { name }: Row, between: RegExp): ReadonlyMap<number, number> =>
  new Map(
    runs
      .flatMap(({ cell, result }) => {
        const found = cell.startsWith(`${task}.${name}`) ? between.exec(cell.slice(`${task}.${name}`.length)) : null
        return found === null ? [] : [[Number(found[1]), scoreOf(task, 'last', result)] as const]
      })
      .sort(([a], [b]) => a - b),
  )

const heldOut = (sweep: StoredSweep, task: Task, row: Row) => scoresOf(sweep, task, row, /^\.grid-train-(.+)\.seed-\d+$/)
const reported = (sweep: StoredSweep, task: Task, row: Row) => scoresOf(sweep, task, row, /^\.seed-(\d+)$/)

/** Held-out scores by rate; the best of each method and task is bold. */
const heldOutRates = (sweep: StoredSweep): Region => {
  const rows = [lora, salora].flatMap((row) => {
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

/** The scores of both methods on the dev set, and the differences of a seed's pairs, by task. */
const pairsByTask = (sweep: StoredSweep) =>
  tasks.map((task) => {
    const [first, second] = [reported(sweep, task, lora), reported(sweep, task, salora)]
    const seeds = [...first.keys()].filter((seed) => second.has(seed))
    return { task, seeds, first, second, pairs: seeds.map((seed) => (second.get(seed) ?? NaN) - (first.get(seed) ?? NaN)) }
  })

/** A table of pairs by task; then the mean over tasks, its error clustered by task. */
const atBestRates = (byTask: ReturnType<typeof pairsByTask>, errors: RowErrors): Region => {
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
    const choices = read('component-choice') as StoredChoices
    const byTask = pairsByTask(sweep)
    return {
      'held-out': heldOutRates(sweep),
      'best-rates': atBestRates(byTask, read('rank-one-rows') as RowErrors),
      'more-seeds': moreSeeds(
        byTask.map(({ pairs }) => pairs),
        16,
        'task',
        2,
      ),
      'cola-lead': colaLead([sweep, readSweep(read, { file: 'cola' })].flatMap(({ runs }) => runs)),
      cut: lossesAfterCut(choices),
      choices: scoresOfChoices(choices),
      ...scoreByBudget([sweep, readSweep(read, { file: 'budgets' })]),
    }
  },
}
