/** Every method on both encoders: its size, its learning rate, its scores, and how SaLoRA differs from it. */
import { mean } from 'simple-statistics'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalChart } from '../../charts/intervalChart.js'
import { embeddedOnly, methodRows, type MethodRow } from '../methodRows.js'
import { differenceText, includingZero, spread, thousands, verdict } from '../numbers.js'
import { chart, markdown, type Region, type ResultsPage } from '../page.js'
import {
  averageOf,
  embedded,
  miniLm,
  overallDifference,
  readSweep,
  runOf,
  scoresOf,
  seeds,
  sizeOf,
  taskDifferences,
  tasks,
  taskTitle,
  type Encoder,
  type StoredSweep,
} from '../storedSweeps.js'

const rowsOf = (encoder: Encoder): ReadonlyArray<MethodRow> =>
  methodRows.filter(({ row }) => encoder === embedded || !embeddedOnly.includes(row))

const scoreTable = (sweep: StoredSweep, encoder: Encoder): Region => {
  const rows = rowsOf(encoder).map(({ row, title, rate, choice }) => {
    const sizes = tasks.flatMap((task) => seeds.map((seed) => sizeOf(runOf(sweep, task, row, seed).result)))
    return [
      title,
      `${rate} (${choice})`,
      thousands(mean(sizes)),
      ...tasks.map((task) => spread(scoresOf(sweep, task, row))),
      averageOf(sweep, row).toFixed(1),
    ]
  })
  const header = ['method', 'learning rate', 'parameters without head', ...tasks.map(taskTitle), 'mean']
  return markdown(markdownTable(header, rows, ['left', 'left', 'right', ...tasks.map(() => 'left' as const), 'right']))
}

/** SaLoRA's two rows: the fixed rate, and the chosen one. */
const saloraRows = ['salora', 'salora:learning-rate=3e-4'] as const

const differenceTable = (sweep: StoredSweep, encoder: Encoder): Region => {
  const rows = rowsOf(encoder).map(({ row, title, rate }) => [
    `${title}, ${rate}`,
    ...saloraRows.flatMap((salora) => {
      if (salora === row) return ['–', '–']
      const overall = overallDifference(taskDifferences(sweep, encoder, salora, row))
      return [differenceText(overall), verdict(overall.interval)]
    }),
  ])
  return markdown(
    markdownTable(['', 'SaLoRA at 1e-3 (fixed) minus it', 'SaLoRA is', 'SaLoRA at 3e-4 (chosen) minus it', 'SaLoRA is'], rows),
  )
}

const differenceChart = (sweep: StoredSweep, encoder: Encoder): Region => {
  const points = rowsOf(encoder)
    .filter(({ row, choice }) => choice === 'chosen' && row !== saloraRows[1])
    .map(({ row, title, rate }) => {
      const { mean: value, interval } = overallDifference(taskDifferences(sweep, encoder, saloraRows[1], row))
      return { row: `${title}, ${rate}`, value, ...(interval === null ? {} : { low: interval[0], high: interval[1] }) }
    })
  return chart(
    `SaLoRA minus each method, all at their chosen rates, on ${encoder === embedded ? 'the embedded model' : encoder.title}. ${includingZero(points)}`,
    intervalChart(points, 'SaLoRA minus the method, points (mean of tasks, 95 % t interval)', 0),
  )
}

export const methodsPage: ResultsPage = {
  name: 'every-method',
  regions: (read) =>
    Object.fromEntries(
      ([['embedded', embedded] as const, ['minilm', miniLm] as const] as const).flatMap(([name, encoder]) => {
        const sweep = readSweep(read, encoder)
        return [
          [`${name}-scores`, scoreTable(sweep, encoder)],
          [`${name}-differences`, differenceTable(sweep, encoder)],
          [`${name}-chart`, differenceChart(sweep, encoder)],
        ] as const
      }),
    ),
}
