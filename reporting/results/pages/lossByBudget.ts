/** Losses of a small decoder by budget, each method at its best rate, on the rows that choose. A lower loss is better. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { lineChart } from '../../charts/lineChart.js'
import { chart, markdown, type Region } from '../page.js'
import { bestOf, type DecoderRun } from './decoderRuns.js'

const window = 'gate-start=0.02:gate-end=0.15'

/** A method's rows by average rank; of several rows, the best counts. */
const methods: ReadonlyArray<readonly [title: string, rows: Readonly<Record<number, ReadonlyArray<string>>>]> = [
  ['LoRA', { 0.19: ['lora-1:target-modules=v_proj+o_proj'], 1: ['lora-1'], 2: ['lora-2'], 4: ['lora-4'], 8: ['lora-8'] }],
  [
    'SaLoRA, early window',
    {
      0.19: [`salora-1:density=0.1887:${window}`],
      1: [`salora:density=0.125:${window}`],
      2: [`salora:density=0.25:${window}`],
      4: [`salora:density=0.5:${window}`],
    },
  ],
  ['LoRA+', { 1: ['lora-1:loraplus-lr-ratio=4', 'lora-1:loraplus-lr-ratio=16'] }],
  ['AdaLoRA', { 1: ['adalora:init-r=2:target-r=1:lora-alpha=4'] }],
]

const ranks = [0.19, 1, 2, 4, 8]

/** The table of losses and rates, and the chart of the losses. */
export const lossByBudget = (runs: ReadonlyArray<DecoderRun>): Readonly<Record<'budgets' | 'budgets-chart', Region>> => {
  const byMethod = methods.map(([title, rows]) => ({
    title,
    best: ranks.map((rank) => {
      const found = (rows[rank] ?? []).flatMap((row) => bestOf(runs, row) ?? [])
      return found.sort((a, b) => a.loss - b.loss)[0]
    }),
  }))
  const cells = byMethod.map(({ title, best }) => [
    title,
    ...best.map((run) => (run === undefined ? '–' : `${run.loss.toFixed(3)} at ${run.rate.toExponential()}`)),
  ])
  const points = byMethod.flatMap(({ title, best }) =>
    best.flatMap((run, i) => (run === undefined ? [] : [{ series: title, x: ranks[i] ?? NaN, y: run.loss }])),
  )
  const losses = points.map(({ y }) => y)
  return {
    budgets: markdown(
      markdownTable(['method', ...ranks.map((rank) => `rank ${rank}`)], cells, ['left', ...ranks.map(() => 'right' as const)]),
    ),
    'budgets-chart': chart(
      `Losses by method and average rank, from ${ranks[0]} to ${ranks.at(-1)}: from ${Math.min(...losses).toFixed(3)} to ${Math.max(...losses).toFixed(3)}.`,
      lineChart(points, { title: 'average rank of a matrix', values: ranks }, { title: 'loss per token' }),
    ),
  }
}
