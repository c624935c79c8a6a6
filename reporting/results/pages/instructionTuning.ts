/** Instruction tuning of a small decoder: perplexity, density and ranks of one SaLoRA run, and answers before and after it. */
import { mean } from 'simple-statistics'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { heatMapChart } from '../../charts/heatMapChart.js'
import { lineChart } from '../../charts/lineChart.js'
import { matrixPlace } from '../../charts/matrixNames.js'
import { chart, markdown, type ResultsPage } from '../page.js'

type StoredRun = {
  readonly command: string
  readonly heldOut: {
    readonly texts: number
    readonly tokens: number
  } & Readonly<Record<'before' | 'step200' | 'step400' | 'step400OnTheFloat32Base', { readonly loss: number; readonly perplexity: number }>>
  readonly every50steps: ReadonlyArray<{ readonly to: number; readonly taskLoss: number; readonly density: number | null }>
  readonly meanRank: Readonly<Record<string, number>>
  readonly ranks: Readonly<Record<string, number>>
  readonly answers: ReadonlyArray<Readonly<Record<string, string>>>
}

const perplexityTable = ({ heldOut }: StoredRun) =>
  markdown(
    markdownTable(
      ['', 'loss', 'perplexity'],
      [
        ['before', heldOut.before],
        ['after 200 steps', heldOut.step200],
        ['after 400 steps', heldOut.step400],
        ['after 400 steps, on the float32 base', heldOut.step400OnTheFloat32Base],
      ].map(([name, scores]) => {
        const { loss, perplexity } = scores as StoredRun['heldOut']['before']
        return [String(name), loss.toFixed(3), perplexity.toFixed(2)]
      }),
      ['left', 'right', 'right'],
    ),
  )

const rankChart = ({ ranks }: StoredRun) => {
  const cells = Object.entries(ranks).map(([name, value]) => {
    const { layer, column } = matrixPlace(name)
    return { row: String((layer ?? 0) + 1), column: column.split('.').at(-1) ?? column, value }
  })
  return chart(
    'Rank that SaLoRA keeps in each matrix, of 8: rows are layers 1 to 30, columns the seven matrices of a layer.',
    heatMapChart(
      cells,
      { title: 'layer', order: [...new Set(cells.map(({ row }) => row))] },
      { title: '', order: [...new Set(cells.map(({ column }) => column))] },
    ),
  )
}

export const instructionTuningPage: ResultsPage = {
  name: 'instruction-tuning',
  regions: (read) => {
    const run = read('smollm2-alpaca') as StoredRun
    const ranks = Object.entries(run.meanRank).sort(([, a], [, b]) => b - a)
    const columns = [...new Set(run.answers.flatMap((answer) => Object.keys(answer)))]
    return {
      perplexity: perplexityTable(run),
      loss: chart(
        `Mean training loss of each 50 steps: ${run.every50steps.map(({ taskLoss }) => taskLoss.toFixed(2)).join(', ')}.`,
        lineChart(
          run.every50steps.map(({ to, taskLoss }) => ({ series: 'training loss', x: to, y: taskLoss })),
          { title: 'step' },
          { title: 'loss' },
        ),
      ),
      ranks: markdown(
        markdownTable(
          ['matrix', 'mean rank of 8'],
          [...ranks.map(([name, rank]) => [name, rank.toFixed(1)]), ['all', mean(Object.values(run.ranks)).toFixed(1)]],
          ['left', 'right'],
        ),
      ),
      'rank-chart': rankChart(run),
      answers: markdown(
        markdownTable(
          columns,
          run.answers.map((answer) => columns.map((column) => answer[column] ?? '')),
        ),
      ),
    }
  },
}
