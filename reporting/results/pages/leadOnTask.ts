/** SaLoRA's lead on a task at rank 1: whether it is of the rate, of the gates, or of the components that they choose. */
import { mean } from 'simple-statistics'
import type { GlueName } from '../../../finetuning/data/glueTasks.js'
import { scoreOf } from '../../../evaluation/glue/score.js'
import { tInterval } from '../../../evaluation/glue/statistics.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalText, signed, verdict } from '../numbers.js'
import { markdown, type Region } from '../page.js'
import type { StoredSweep } from '../storedSweeps.js'

type Row = { readonly title: string; readonly method: string; readonly rate: number; readonly retain?: string; readonly gateStart?: number }
type Lead = { readonly task: GlueName; readonly salora: Row; readonly others: ReadonlyArray<Row> }

const lora = (title: string, rate: number): Row => ({ title: `LoRA, r = 1, at ${title} rate`, method: 'lora', rate })

export const onCola: Lead = {
  task: 'cola',
  salora: { title: 'SaLoRA, from 8 to 1', method: 'salora', rate: 1e-3, retain: 'budget' },
  others: [
    lora('its own', 3e-3),
    lora("SaLoRA's", 1e-3),
    { title: 'random components under the same gates', method: 'salora', rate: 1e-3, retain: 'random' },
  ],
}

export const onQnli: Lead = {
  task: 'qnli',
  salora: { title: 'SaLoRA, early window', method: 'salora', rate: 1e-3, retain: 'budget', gateStart: 0.02 },
  others: [lora('its own', 3e-4), lora("SaLoRA's", 1e-3)],
}

/** Scores on the dev set in percent, by seed. */
const scoresOf = (runs: StoredSweep['runs'], of: GlueName, { method, rate, retain, gateStart = 0.2 }: Row): ReadonlyMap<unknown, number> =>
  new Map(
    runs
      .filter(({ config: { task, settings } }) => task.task === of && task.holdOutTrain !== true && settings['method'] === method)
      .filter(({ config: { settings } }) => settings['learningRate'] === rate && settings['retain'] === retain)
      .filter(({ config: { settings } }) => method === 'lora' || settings['gateStart'] === gateStart)
      .map(({ config: { settings }, result }) => [settings['seed'], scoreOf(of, 'last', result)]),
  )

/** Each row, and SaLoRA's difference from it by pairs of one seed. */
export const leadOnTask = (runs: StoredSweep['runs'], { task, salora, others }: Lead): Region => {
  const found = scoresOf(runs, task, salora)
  const rows = others.map((row) => {
    const scores = scoresOf(runs, task, row)
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
