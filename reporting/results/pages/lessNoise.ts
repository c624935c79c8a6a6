/** Candidates of the plan on the small decoder: antithetic noise, and orthogonality without scale, beside SaLoRA as it is. A lower loss is better. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { signed } from '../numbers.js'
import { markdown, type Region } from '../page.js'
import { choosing, type DecoderRun } from './decoderRuns.js'

const window = 'gate-start=0.02:gate-end=0.15'

/** The set whose rows choose, the row of SaLoRA, and both in words. */
const columns = [
  ['tales', `salora-1:density=0.1887:${window}`, "Grimm's tales, rank 0.19"],
  ['wiki.valid', `salora-1:density=0.1887:${window}`, 'WikiText-2, rank 0.19'],
  ['alpaca', `salora:density=0.125:${window}`, 'Alpaca, rank 1'],
] as const

/** What each candidate adds to a row. */
const candidates = [
  ['', 'SaLoRA as it is'],
  [':gate-noise=antithetic', 'antithetic noise'],
  [':beta=0', 'β = 0'],
  [':orthogonality-scale=free', 'orthogonality without scale'],
] as const

const rate = 3e-3

/** Losses on the rows that choose, each with its difference from SaLoRA as it is. */
export const lessNoiseTable = (runs: ReadonlyArray<DecoderRun>): Region => {
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
