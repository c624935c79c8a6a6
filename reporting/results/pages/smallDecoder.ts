/** A small decoder: SaLoRA beside LoRA at rank 1 and at a fifth of it, and how their settings were chosen. A lower loss is better. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { signed } from '../numbers.js'
import { markdown, type Region, type ResultsPage } from '../page.js'
import { decoderCandidates } from './decoderCandidates.js'
import { bestOf, choosing, decoderRun, ratesTable, reportedPairs, type DecoderRun, type StoredRun, type Titled } from './decoderRuns.js'
import { fifthOfRankOne, fromOne } from './fifthOfRankOne.js'
import { readSweep } from '../storedSweeps.js'
import { largerDecoders } from './largerDecoders.js'
import { lossByBudget } from './lossByBudget.js'
import { windowOnEncoder } from './encoderWindow.js'

const salora = 'salora:density=0.125'
const early = `${salora}:gate-start=0.02:gate-end=0.15`

/** Rows at rank 1 with a rate of their own. */
const rated: ReadonlyArray<Titled> = [
  ['lora-8', 'LoRA, r = 8'],
  ['lora-1', 'LoRA, r = 1'],
  [salora, 'SaLoRA, from 8 to 1'],
]

/** Windows of `--method salora` as users call it: rank 8 and density 0.5. */
const [half, halfEarly] = ['salora:density=0.5', 'salora:density=0.5:gate-start=0.02:gate-end=0.15']
const windows: ReadonlyArray<Titled> = [
  [half, "0.2 to 0.5, the paper's"],
  ['salora:density=0.5:gate-start=0.05:gate-end=0.3', '0.05 to 0.3'],
  [halfEarly, '0.02 to 0.15'],
]

/** The rates that they were tried at. The figure by budget has another rate of the last one. */
const windowRates: ReadonlyArray<number> = [4e-4, 1e-3]

/** What SaLoRA's variants change, at the rate that is best for it with the paper's window. */
const variants: ReadonlyArray<Titled> = [
  [`${salora}:gate-start=0.05:gate-end=0.3`, 'window from 0.05 to 0.3'],
  [early, 'window from 0.02 to 0.15'],
  [`${salora}:gate-start=0:gate-end=0.08`, 'window from 0 to 0.08'],
  [`${salora}:tau=0.33`, 'τ = 0.33'],
  [`${salora}:beta=0`, 'β = 0'],
  ['salora-4:density=0.25', '4 components at the start'],
  ['salora-16:density=0.0625', '16 components at the start'],
  ['salora-4:density=0.25:gate-start=0.05:gate-end=0.3', '4 components, window from 0.05 to 0.3'],
  ['salora-4:density=0.25:gate-start=0.02:gate-end=0.15', '4 components, window from 0.02 to 0.15'],
  ['salora-16:density=0.0625:gate-start=0.02:gate-end=0.15', '16 components, window from 0.02 to 0.15'],
  ['salora-4:density=0.25:gate-start=0.05:gate-end=0.3:tau=0.33:beta=0', '4 components, window from 0.05 to 0.3, τ = 0.33, β = 0'],
  [`${salora}:retain=random`, 'random components under the same gates'],
]

const variantsTable = (runs: ReadonlyArray<DecoderRun>): Region => {
  const [lora, unchanged] = [bestOf(runs, 'lora-1'), bestOf(runs, salora)]
  const line = (title: string, run: DecoderRun | undefined): ReadonlyArray<ReadonlyArray<string>> =>
    run === undefined || lora === undefined ? [] : [[title, run.loss.toFixed(4), run === lora ? '' : signed(run.loss - lora.loss, 4)]]
  const cells = [
    ...line('LoRA, r = 1', lora),
    ...line('LoRA, r = 1 on average, on the ranks that SaLoRA kept', bestOf(runs, `lora-1 on ranks of ${salora}:learning-rate=3e-3`)),
    ...line("SaLoRA, from 8 to 1: window from 0.2 to 0.5, the paper's", unchanged),
    ...variants.flatMap(([name, title]) =>
      line(
        `SaLoRA: ${title}`,
        choosing(runs, name).find(({ rate }) => rate === unchanged?.rate),
      ),
    ),
  ]
  return markdown(markdownTable(['method', 'loss', 'minus LoRA'], cells, ['left', 'right', 'right']))
}

export const smallDecoderPage: ResultsPage = {
  name: 'small-decoder',
  regions: (read) => {
    const runs = (read('decoder') as { readonly runs: ReadonlyArray<StoredRun> }).runs.map(decoderRun)
    const rankOne = reportedPairs(runs, { base: ['lora-1', 'LoRA, r = 1'], other: [early, 'SaLoRA, early window'], baseName: 'LoRA' })
    const rankTwo = reportedPairs(runs, {
      base: ['lora-2', 'LoRA, r = 2'],
      other: ['salora:density=0.25:gate-start=0.02:gate-end=0.15', 'SaLoRA, from 8 to 2'],
      baseName: 'LoRA',
    })
    const window = reportedPairs(runs, {
      base: [half, 'window from 0.2 to 0.5'],
      other: [halfEarly, 'from 0.02 to 0.15'],
      baseName: "the paper's",
      otherName: 'early',
    })
    const rate = reportedPairs(runs, {
      base: ['lora-8', 'LoRA at 4e-4'],
      baseRate: 4e-4,
      other: ['lora-8', 'at 1e-3'],
      baseName: '4e-4',
      otherName: '1e-3',
    })
    return {
      reported: rankOne.table,
      chart: rankOne.chart,
      'rank-two': rankTwo.table,
      'rank-two-chart': rankTwo.chart,
      rates: ratesTable(runs, rated),
      variants: variantsTable(runs),
      windows: ratesTable(
        runs.filter(({ rate }) => windowRates.includes(rate)),
        windows,
      ),
      'windows-reported': window.table,
      'default-rate': rate.table,
      'larger-decoders': largerDecoders(read),
      ...decoderCandidates(runs, fromOne, early),
      ...fifthOfRankOne(runs),
      ...lossByBudget(runs),
      'windows-encoder': windowOnEncoder(readSweep(read, { file: 'window' })),
    }
  },
}
