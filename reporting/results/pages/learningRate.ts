/** What the learning rate does: the rates that were tried on held-out data, and SaLoRA minus LoRA at the fixed and at the chosen rate. */
import { mean } from 'simple-statistics'
import { scoreOf } from '../../../evaluation/glue/score.js'
import type { ClusteredDifference } from '../../../evaluation/glue/statistics.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalChart } from '../../charts/intervalChart.js'
import { methodRows } from '../methodRows.js'
import { differenceText, includingZero, intervalText, signed, verdict } from '../numbers.js'
import { chart, markdown, type Region, type ResultsPage } from '../page.js'
import {
  averageOf,
  embedded,
  encoders,
  miniLm,
  overallDifference,
  overBoth,
  overTasksAndEncoders,
  readSweep,
  taskDifferences,
  tasks,
  type Encoder,
  type StoredSweep,
  type TaskDifference,
} from '../storedSweeps.js'

const [chosenSalora, chosenLora] = ['salora:learning-rate=3e-4', 'lora:learning-rate=3e-4'] as const

/** Held-out scores of one method on one task, by rate, in percent. */
const heldOutScores = (sweep: StoredSweep, method: string, task: 'cola' | 'sst2'): ReadonlyMap<number, number> =>
  new Map(
    sweep.runs.flatMap(({ cell, result }) => {
      const [, rate] = new RegExp(`^${task}\\.${method}\\.grid-train-(.+)\\.seed-0$`).exec(cell) ?? []
      return rate === undefined ? [] : [[Number(rate), scoreOf(task, 'last', result)] as const]
    }),
  )

/** By rate, the mean of both tasks' held-out scores, for the rates that were tried on both. */
export const heldOutMeans = (sweep: StoredSweep, method: string): ReadonlyMap<number, number> => {
  const [cola, sst2] = [heldOutScores(sweep, method, 'cola'), heldOutScores(sweep, method, 'sst2')]
  return new Map([...sst2].flatMap(([rate, score]) => (cola.has(rate) ? [[rate, mean([score, cola.get(rate) ?? NaN])]] : [])))
}

/** The rate with the best mean, the smallest of equal ones. */
export const bestRate = (means: ReadonlyMap<number, number>): number =>
  [...means].sort(([a], [b]) => a - b).reduce((best, next) => (next[1] > best[1] ? next : best))[0]

const rateText = (rate: number): string => rate.toExponential()

const heldOutTable = (sweep: StoredSweep): Region => {
  const methods = [
    ...new Set(
      methodRows.filter(({ choice, row }) => choice === 'chosen' && !/-\d|sum/.test(row.replace(/=.*/, ''))).map(({ method }) => method),
    ),
  ]
  const tried = methods
    .map((method) => ({ method, means: heldOutMeans(sweep, method), sst2: heldOutScores(sweep, method, 'sst2') }))
    .filter(({ means }) => means.size > 0)
  const rates = [...new Set(tried.flatMap(({ sst2 }) => [...sst2.keys()]))].sort((a, b) => a - b)
  const rows = tried.map(({ method, means, sst2 }) => {
    const best = bestRate(means)
    return [
      method,
      ...rates.map((rate) => {
        const score = means.get(rate)
        if (score !== undefined) return rate === best ? `**${score.toFixed(1)}**` : score.toFixed(1)
        return sst2.has(rate) ? 'SST-2 only' : '–'
      }),
    ]
  })
  return markdown(markdownTable(['method', ...rates.map(rateText)], rows, ['left', ...rates.map(() => 'right' as const)]))
}

type Comparison = { readonly title: string; readonly row: string; readonly other: string }

const comparisons: ReadonlyArray<Comparison> = [
  { title: 'SaLoRA minus LoRA, both at 1e-3 (fixed)', row: 'salora', other: 'lora' },
  { title: 'SaLoRA minus LoRA, both at 3e-4 (chosen)', row: chosenSalora, other: chosenLora },
  { title: 'LoRA at 3e-4 minus LoRA at 1e-3', row: chosenLora, other: 'lora' },
  { title: 'SaLoRA at 3e-4 minus SaLoRA at 1e-3', row: chosenSalora, other: 'salora' },
]

/** Only the embedded model has these runs. */
const embeddedComparisons: ReadonlyArray<Comparison> = [
  { title: 'LoRA of rank 4 minus LoRA of rank 8, at 3e-4', row: 'lora-4:learning-rate=3e-4', other: chosenLora },
  { title: 'SaLoRA minus LoRA of rank 4, at 3e-4', row: chosenSalora, other: 'lora-4:learning-rate=3e-4' },
  { title: "SaLoRA, the paper's sum of R_orth minus the mean, at 3e-4", row: `${chosenSalora}:orthogonality=sum`, other: chosenSalora },
  { title: "SaLoRA, the paper's sum of R_orth minus the mean, at 1e-3", row: 'salora:orthogonality=sum', other: 'salora' },
]

const taskText = ({ mean: center, interval, pairs }: TaskDifference): string =>
  pairs.length === 1 ? `${signed(center)} (1 pair)` : `${signed(center)} (${intervalText(interval)})`

const comparisonTable = (sweep: StoredSweep, encoder: Encoder): Region => {
  const rows = [...comparisons, ...(encoder === embedded ? embeddedComparisons : [])].map(({ title, row, other }) => {
    const differences = taskDifferences(sweep, encoder, row, other)
    const overall = overallDifference(differences)
    return [title, ...differences.map(taskText), differenceText(overall), verdict(overall.interval)]
  })
  return markdown(markdownTable(['', ...tasks, 'mean of the tasks', 'the first is'], rows))
}

const saloraMinusLora = (read: (encoder: Encoder) => StoredSweep): ReadonlyArray<readonly [string, string, ClusteredDifference]> =>
  comparisons.slice(0, 2).flatMap(({ title, row, other }) => {
    const byEncoder = encoders.map((encoder) => [encoder.title, taskDifferences(read(encoder), encoder, row, other)] as const)
    return [
      ...byEncoder.map(([name, differences]) => [title, name, overallDifference(differences)] as const),
      [title, 'Both encoders', overBoth(byEncoder.map(([, differences]) => differences))] as const,
    ]
  })

/** How the error over both encoders depends on what counts as one observation, and on the pairs that were seen before. */
const clusterTable = (read: (encoder: Encoder) => StoredSweep): Region => {
  const rows = comparisons.slice(0, 2).flatMap(({ row, other }, i) =>
    [false, true].flatMap((seen) => {
      const byEncoder = encoders.map((encoder) =>
        taskDifferences(read(encoder), seen ? { ...encoder, wasSeen: () => false } : encoder, row, other),
      )
      return [['a task', overBoth(byEncoder)] as const, ['a task on one encoder', overTasksAndEncoders(byEncoder)] as const].map(
        ([unit, overall]) => [
          i === 0 ? '1e-3' : '3e-4',
          unit,
          String(overall.effects.length),
          seen ? 'yes' : 'no',
          differenceText(overall),
          verdict(overall.interval),
        ],
      )
    }),
  )
  return markdown(
    markdownTable(['learning rate', 'unit', 'units', "with CoLA's two seen pairs", 'SaLoRA minus LoRA, both encoders', 'SaLoRA is'], rows, [
      'left',
      'left',
      'right',
      'left',
      'left',
      'left',
    ]),
  )
}

export const learningRatePage: ResultsPage = {
  name: 'learning-rate',
  regions: (read) => {
    const sweeps = new Map(encoders.map((encoder) => [encoder.file, readSweep(read, encoder)]))
    const sweepOf = (encoder: Encoder): StoredSweep => sweeps.get(encoder.file) as StoredSweep
    const both = saloraMinusLora(sweepOf)
    const points = both.map(([title, name, { mean: value, interval }]) => ({
      row: name,
      series: title,
      value,
      ...(interval === null ? {} : { low: interval[0], high: interval[1] }),
    }))
    const averages = ['salora', 'lora', chosenSalora, chosenLora].map((row) => [
      `\`${row}\``,
      ...encoders.map((encoder) => averageOf(sweepOf(encoder), row).toFixed(1)),
    ])
    return {
      'held-out': heldOutTable(sweepOf(embedded)),
      averages: markdown(markdownTable(['', ...encoders.map(({ title }) => title)], averages, ['left', 'right', 'right'])),
      'embedded-differences': comparisonTable(sweepOf(embedded), embedded),
      'minilm-differences': comparisonTable(sweepOf(miniLm), miniLm),
      both: markdown(
        markdownTable(
          ['', 'encoder', 'mean of the tasks', 'SaLoRA is'],
          both.map(([title, name, overall]) => [title, name, differenceText(overall), verdict(overall.interval)]),
        ),
      ),
      clusters: clusterTable(sweepOf),
      chart: chart(
        `SaLoRA minus LoRA at the fixed and at the chosen learning rate, for each encoder and both. ${includingZero(points)}`,
        intervalChart(points, 'SaLoRA minus LoRA, points (mean of tasks, 95 % t interval)', 0),
      ),
    }
  },
}
