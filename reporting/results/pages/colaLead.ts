/** SaLoRA's lead on CoLA at rank 1: whether it is of the rate, of the gates, or of the components that they choose. */
import { mean } from 'simple-statistics'
import { scoreOf } from '../../../evaluation/glue/score.js'
import { tInterval } from '../../../evaluation/glue/statistics.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalText, signed, verdict } from '../numbers.js'
import { markdown, type Region } from '../page.js'
import type { StoredSweep } from '../storedSweeps.js'

type Row = { readonly title: string; readonly method: string; readonly rate: number; readonly retain?: string }

const salora: Row = { title: 'SaLoRA, from 8 to 1', method: 'salora', rate: 1e-3, retain: 'budget' }
const others: ReadonlyArray<Row> = [
  { title: 'LoRA, r = 1, at its own rate', method: 'lora', rate: 3e-3 },
  { title: "LoRA, r = 1, at SaLoRA's rate", method: 'lora', rate: 1e-3 },
  { title: 'random components under the same gates', method: 'salora', rate: 1e-3, retain: 'random' },
]

/** Scores on the dev set in percent, by seed. */
const scoresOf = (runs: StoredSweep['runs'], { method, rate, retain }: Row): ReadonlyMap<unknown, number> =>
  new Map(
    runs
      .filter(({ config: { task, settings } }) => task.task === 'cola' && task.holdOutTrain !== true && settings['method'] === method)
      .filter(({ config: { settings } }) => settings['learningRate'] === rate && settings['retain'] === retain)
      .map(({ config: { settings }, result }) => [settings['seed'], scoreOf('cola', 'last', result)]),
  )

/** Each row, and SaLoRA's difference from it by pairs of one seed. */
export const colaLead = (runs: StoredSweep['runs']): Region => {
  const found = scoresOf(runs, salora)
  const rows = others.map((row) => {
    const scores = scoresOf(runs, row)
    const seeds = [...scores.keys()].filter((seed) => found.has(seed))
    const pairs = seeds.map((seed) => (found.get(seed) ?? NaN) - (scores.get(seed) ?? NaN))
    const interval = tInterval(pairs)
    const average = (of: ReadonlyMap<unknown, number>): string => mean(seeds.map((seed) => of.get(seed) ?? NaN)).toFixed(2)
    const difference = `${signed(mean(pairs), 2)} (${intervalText(interval, 2)})`
    return [
      row.title,
      row.rate.toExponential(),
      String(seeds.length),
      average(scores),
      average(found),
      difference,
      interval === null ? '–' : verdict(interval),
    ]
  })
  const head = ['row', 'rate', 'seeds', 'its score', `${salora.title}, at 1e-3`, 'SaLoRA minus it', 'SaLoRA is']
  return markdown(markdownTable(head, rows, ['left', 'left', 'right', 'right', 'right', 'left', 'left']))
}
