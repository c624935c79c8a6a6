/** Do the gates find structure? SaLoRA beside LoRA of both budgets, beside the paper's R_orth, and beside halves that no gate chose. */
import { mean } from 'simple-statistics'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { heatMapChart } from '../../charts/heatMapChart.js'
import { intervalChart } from '../../charts/intervalChart.js'
import { differenceText, includingZero, intervalText, signed, spread, verdict } from '../numbers.js'
import { chart, markdown, type Region, type ResultsPage } from '../page.js'
import {
  embedded,
  encoders,
  miniLm,
  overallDifference,
  overBoth,
  readSweep,
  runOf,
  scoresOf,
  seeds,
  taskDifferences,
  tasks,
  taskTitle,
  type Encoder,
  type StoredSweep,
} from '../storedSweeps.js'

const others = ['lora', 'lora-4', 'salora:orthogonality=sum', 'salora:retain=random', 'salora:retain=magnitude'] as const

const code = (row: string): string => `\`${row}\``

const scoreTable = (sweep: StoredSweep): Region =>
  markdown(
    markdownTable(
      ['', ...tasks.map(taskTitle)],
      ['salora', ...others].map((row) => [code(row), ...tasks.map((task) => spread(scoresOf(sweep, task, row)))]),
    ),
  )

const differenceTable = (sweep: StoredSweep, encoder: Encoder): Region => {
  const rows = others.map((row) => {
    const differences = taskDifferences(sweep, encoder, 'salora', row)
    const overall = overallDifference(differences)
    return [
      code(row),
      ...differences.map(({ mean: center, interval, pairs }) =>
        pairs.length === 1 ? `${signed(center)} (1 pair)` : `${signed(center)} (${intervalText(interval)})`,
      ),
      differenceText(overall),
      verdict(overall.interval),
    ]
  })
  return markdown(markdownTable(['`salora` minus', ...tasks, 'mean of the tasks', 'SaLoRA is'], rows))
}

const overallChart = (sweeps: ReadonlyArray<readonly [Encoder, StoredSweep]>): Region => {
  const points = others.flatMap((row) =>
    sweeps.map(([encoder, sweep]) => {
      const { mean: value, interval } = overallDifference(taskDifferences(sweep, encoder, 'salora', row))
      return { row, series: encoder.title, value, ...(interval === null ? {} : { low: interval[0], high: interval[1] }) }
    }),
  )
  return chart(
    `SaLoRA minus each other row, mean of four tasks with its 95 % t interval, for both encoders. ${includingZero(points)}`,
    intervalChart(points, 'SaLoRA minus the row, points (mean of tasks, 95 % t interval)', 0),
  )
}

const bothTable = (sweeps: ReadonlyArray<readonly [Encoder, StoredSweep]>): Region =>
  markdown(
    markdownTable(
      ['`salora` minus', 'mean of the tasks, both encoders', 'SaLoRA is'],
      others.map((row) => {
        const overall = overBoth(sweeps.map(([encoder, sweep]) => taskDifferences(sweep, encoder, 'salora', row)))
        return [code(row), differenceText(overall), verdict(overall.interval)]
      }),
    ),
  )

/** encoder.layer.0.attention.self.query → query; output.dense of the feed-forward → down */
const kinds = [
  ['query', 'attention.self.query'],
  ['key', 'attention.self.key'],
  ['value', 'attention.self.value'],
  ['attention output', 'attention.output.dense'],
  ['up', 'intermediate.dense'],
  ['down', 'output.dense'],
] as const

/** The mean rank of each matrix over tasks and seeds, by layer and kind. */
const meanRanks = (sweep: StoredSweep): ReadonlyArray<{ readonly layer: number; readonly kind: string; readonly rank: number }> => {
  const runs = tasks.flatMap((task) => seeds.map((seed) => runOf(sweep, task, 'salora', seed).result.ranks ?? {}))
  return Object.keys(runs[0] ?? {}).map((name) => {
    const [, layer = '', matrix = ''] = /^encoder\.layer\.(\d+)\.(.+)$/.exec(name) ?? []
    const kind = kinds.find(([, ending]) => matrix === ending)?.[0] ?? matrix
    return { layer: Number(layer) + 1, kind, rank: mean(runs.map((ranks) => ranks[name] ?? NaN)) }
  })
}

const rankTable = (sweep: StoredSweep): Region => {
  const ranks = meanRanks(sweep)
  const layers = [...new Set(ranks.map(({ layer }) => layer))].sort((a, b) => a - b)
  const of = (where: (one: (typeof ranks)[number]) => boolean): string => mean(ranks.filter(where).map(({ rank }) => rank)).toFixed(1)
  const rows = kinds.map(([kind]) => [
    kind,
    ...layers.map((layer) => of((one) => one.kind === kind && one.layer === layer)),
    of((one) => one.kind === kind),
  ])
  const all = ['all', ...layers.map((layer) => of((one) => one.layer === layer)), of(() => true)]
  return markdown(markdownTable(['matrix', ...layers.map((layer) => `layer ${layer}`), 'all'], [...rows, all]))
}

const rankChart = (sweep: StoredSweep, { title }: Encoder): Region => {
  const ranks = meanRanks(sweep)
  const layers = [...new Set(ranks.map(({ layer }) => layer))].sort((a, b) => a - b)
  return chart(
    `Mean rank that SaLoRA keeps in each matrix of ${title === embedded.title ? 'the embedded model' : title}, by layer, of 8.`,
    heatMapChart(
      ranks.map(({ layer, kind, rank }) => ({ row: kind, column: `layer ${layer}`, value: rank })),
      { title: '', order: kinds.map(([kind]) => kind) },
      { title: '', order: layers.map((layer) => `layer ${layer}`) },
    ),
  )
}

export const structurePage: ResultsPage = {
  name: 'structure',
  regions: (read) => {
    const sweeps = encoders.map((encoder) => [encoder, readSweep(read, encoder)] as const)
    const [first, second] = [readSweep(read, embedded), readSweep(read, miniLm)]
    return {
      'embedded-scores': scoreTable(first),
      'embedded-differences': differenceTable(first, embedded),
      'embedded-ranks': rankTable(first),
      'embedded-rank-chart': rankChart(first, embedded),
      'minilm-scores': scoreTable(second),
      'minilm-differences': differenceTable(second, miniLm),
      'minilm-ranks': rankTable(second),
      'minilm-rank-chart': rankChart(second, miniLm),
      'both-differences': bothTable(sweeps),
      'both-chart': overallChart(sweeps),
    }
  },
}
