/** Candidates of the plan on the small decoder: antithetic noise, and orthogonality without scale, beside SaLoRA as it is. A lower loss is better. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { signed } from '../numbers.js'
import { markdown, type Region } from '../page.js'
import { choosing, type DecoderRun } from './decoderRuns.js'

/** What each candidate adds to a row. */
const candidates = [
  ['', 'SaLoRA as it is'],
  [':gate-noise=antithetic', 'antithetic noise'],
  [':beta=0', 'β = 0'],
  [':orthogonality-scale=free', 'orthogonality without scale'],
] as const

const rate = 3e-3

/** Losses on the rows that choose, each with its difference from SaLoRA as it is. @param fifth SaLoRA at a fifth of rank 1 @param one at rank 1 */
export const lessNoiseTable = (runs: ReadonlyArray<DecoderRun>, fifth: string, one: string): Region => {
  const columns = [
    ['tales', fifth, "Grimm's tales, rank 0.19"],
    ['wiki.valid', fifth, 'WikiText-2, rank 0.19'],
    ['alpaca', one, 'Alpaca, rank 1'],
  ] as const
  const lossOf = (set: string, row: string): number | undefined => choosing(runs, row, set).find((run) => run.rate === rate)?.loss
  const cells = candidates.map(([added, title]) => [
    title,
    ...columns.map(([set, row]) => {
      const [unchanged, loss] = [lossOf(set, row), lossOf(set, row + added)]
      if (loss === undefined) return '–'
      return added === '' || unchanged === undefined ? loss.toFixed(4) : `${loss.toFixed(4)} (${signed(loss - unchanged, 4)})`
    }),
  ])
  const head = ['method', ...columns.map(([, , title]) => title)]
  return markdown(markdownTable(head, cells, ['left', 'right', 'right', 'right']))
}
