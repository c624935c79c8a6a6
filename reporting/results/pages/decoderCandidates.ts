/** Candidates of the plan on the small decoder, each beside SaLoRA as it is: less noise, and no sampled gates. A lower loss is better. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { signed } from '../numbers.js'
import { markdown, type Region } from '../page.js'
import { choosing, sets, type DecoderRun } from './decoderRuns.js'

/** What a candidate adds to a row, and its words. */
type Candidate = readonly [added: string, title: string]

/** A set of text, and the row that the candidates change. */
type Column = { readonly set: string; readonly row: string; readonly title: string }

const unchanged: Candidate = ['', 'SaLoRA as it is']

const lessNoise: ReadonlyArray<Candidate> = [
  [':gate-noise=antithetic', 'antithetic noise'],
  [':beta=0', 'β = 0'],
  [':orthogonality-scale=free', 'orthogonality without scale'],
]

const withoutSampling: ReadonlyArray<Candidate> = [
  [':retain=random', 'random components under the same gates'],
  [':retain=magnitude', 'largest components'],
  [':retain=magnitude:beta=0', 'largest components, β = 0'],
  [':gate-kind=plain', 'plain gates'],
]

const rate = 3e-3

const table = (runs: ReadonlyArray<DecoderRun>, candidates: ReadonlyArray<Candidate>, columns: ReadonlyArray<Column>): Region => {
  const lossOf = (set: string, row: string): number | undefined => choosing(runs, row, set).find((run) => run.rate === rate)?.loss
  const cells = [unchanged, ...candidates].map(([added, title]) => [
    title,
    ...columns.map(({ set, row }) => {
      const [before, loss] = [lossOf(set, row), lossOf(set, row + added)]
      if (loss === undefined) return '–'
      return added === '' || before === undefined ? loss.toFixed(4) : `${loss.toFixed(4)} (${signed(loss - before, 4)})`
    }),
  ])
  const head = ['method', ...columns.map(({ title }) => title)]
  return markdown(markdownTable(head, cells, ['left', ...columns.map(() => 'right' as const)]))
}

/** Losses on the rows that choose, each with its difference from SaLoRA as it is. @param fifth SaLoRA at a fifth of rank 1 @param one at rank 1 */
export const decoderCandidates = (
  runs: ReadonlyArray<DecoderRun>,
  fifth: string,
  one: string,
): Readonly<Record<'less-noise' | 'without-sampling', Region>> => ({
  'less-noise': table(runs, lessNoise, [
    { set: 'tales', row: fifth, title: "Grimm's tales, rank 0.19" },
    { set: 'wiki.valid', row: fifth, title: 'WikiText-2, rank 0.19' },
    { set: 'alpaca', row: one, title: 'Alpaca, rank 1' },
  ]),
  'without-sampling': table(
    runs,
    withoutSampling,
    sets.map(([set, title]) => ({ set, row: fifth, title })),
  ),
})
