/** Estimated and measured peak memory of training runs. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalChart } from '../../charts/intervalChart.js'
import { gigabytes } from '../numbers.js'
import { chart, markdown, type ResultsPage } from '../page.js'

type Stored = {
  readonly rows: ReadonlyArray<{
    readonly case: string
    readonly model: string
    readonly flags: string
    readonly ratio: number
    readonly measured: number
    readonly estimated: { readonly peak: number }
  }>
}

export const memoryPage: ResultsPage = {
  name: 'memory',
  regions: (read) => {
    const { rows } = read('estimate') as Stored
    const cells = rows.map(({ model, flags, ratio, measured, estimated }) => [
      model,
      `\`${flags}\``,
      gigabytes(estimated.peak),
      gigabytes(measured),
      ratio.toFixed(2),
    ])
    const ratios = rows.map(({ ratio }) => ratio)
    return {
      cases: markdown(
        markdownTable(['model', 'flags of `salora train`', 'estimate', 'measured peak', 'estimate / measured'], cells, [
          'left',
          'left',
          'right',
          'right',
          'right',
        ]),
      ),
      chart: chart(
        `Estimated divided by measured memory of ${rows.length} runs: from ${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}.`,
        intervalChart(
          rows.map(({ case: row, ratio }) => ({ row, value: ratio })),
          'estimate / measured peak',
          1,
        ),
      ),
    }
  },
}
