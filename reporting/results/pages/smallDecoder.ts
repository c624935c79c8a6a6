/** A small decoder at rank 1: SaLoRA with an early window beside LoRA, and how its settings were chosen. A lower loss is better. */
import { mean } from 'simple-statistics'
import { clusteredDifference, directionOf, type Interval } from '../../../evaluation/glue/statistics.js'
import type { ComparedRun } from '../../../evaluation/studies/comparison.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalChart, type IntervalPoint } from '../../charts/intervalChart.js'
import { differenceText, signed, thousands } from '../numbers.js'
import { chart, markdown, type Region, type ResultsPage } from '../page.js'
import { sizeOf } from '../storedSweeps.js'

type StoredRun = Pick<ComparedRun, 'variant' | 'seed'> & ComparedRun['result']

/** A run by what its name says: the rows that are scored, the set of text, and the row of the study. */
type DecoderRun = {
  readonly part: string
  readonly set: string
  readonly row: string
  readonly rate: number
  /** the row whose ranks it trains on from scratch; absent: ranks of its own */
  readonly ranksOf: string | undefined
  readonly seed: number
  readonly loss: number
  readonly numbers: number
}

/** `report tales lora-1:learning-rate=3e-3`: a set of text has a name, but for Alpaca. */
const decoderRun = (run: StoredRun): DecoderRun => {
  const [, part = '', set = 'alpaca', row = '', rate = '', ranksOf] =
    /^(choose|report) (?:([\w.]+) )?([^ ]+):learning-rate=([^ ]+)(?: on ranks of (.+))?$/.exec(run.variant) ?? []
  return { part, set, row, rate: Number(rate), ranksOf, seed: run.seed, loss: run.last.scores['loss'] ?? NaN, numbers: sizeOf(run) }
}

const salora = 'salora:density=0.125'
const early = `${salora}:gate-start=0.02:gate-end=0.15`

/** Rows with a rate of their own. */
const rated = [
  ['lora-8', 'LoRA, r = 8'],
  ['lora-1', 'LoRA, r = 1'],
  [salora, 'SaLoRA, from 8 to 1'],
] as const

/** What SaLoRA's variants change, at the rate that is best for its defaults. */
const variants = [
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
] as const

const sets = [
  ['alpaca', 'Alpaca'],
  ['tales', "Grimm's tales"],
  ['tinyshakespeare', 'tinyshakespeare'],
  ['wiki.valid', 'WikiText-2'],
  ['yelp_shen2017.negative', 'Yelp, negative'],
] as const

/** The rows that choose, on Alpaca, with ranks of their own. */
const choosing = (runs: ReadonlyArray<DecoderRun>, name: string): ReadonlyArray<DecoderRun> =>
  runs.filter(({ part, row, ranksOf }) => part === 'choose' && row === name && ranksOf === undefined).sort((a, b) => a.rate - b.rate)

const bestOf = (runs: ReadonlyArray<DecoderRun>, name: string): DecoderRun | undefined =>
  choosing(runs, name).reduce<DecoderRun | undefined>(
    (best, next) => (best === undefined || next.loss < best.loss ? next : best),
    undefined,
  )

const ratesTable = (runs: ReadonlyArray<DecoderRun>): Region => {
  const tried = rated.map(([name, title]) => ({ title, best: bestOf(runs, name), runs: choosing(runs, name) }))
  const rates = [...new Set(tried.flatMap((one) => one.runs.map(({ rate }) => rate)))].sort((a, b) => a - b)
  const cells = tried.map(({ title, best, runs: own }) => [
    title,
    best === undefined ? '–' : thousands(best.numbers),
    ...rates.map((rate) => {
      const text = own.find((run) => run.rate === rate)?.loss.toFixed(3)
      return text === undefined ? '–' : rate === best?.rate ? `**${text}**` : text
    }),
  ])
  const head = ['method', 'numbers', ...rates.map((rate) => rate.toExponential())]
  return markdown(markdownTable(head, cells, ['left', 'right', ...rates.map(() => 'right' as const)]))
}

const variantsTable = (runs: ReadonlyArray<DecoderRun>): Region => {
  const [lora, defaults] = [bestOf(runs, 'lora-1'), bestOf(runs, salora)]
  const line = (title: string, run: DecoderRun | undefined): ReadonlyArray<ReadonlyArray<string>> =>
    run === undefined || lora === undefined ? [] : [[title, run.loss.toFixed(4), run === lora ? '' : signed(run.loss - lora.loss, 4)]]
  const cells = [
    ...line('LoRA, r = 1', lora),
    ...line(
      'LoRA, r = 1 on average, on the ranks that SaLoRA kept',
      runs.find(({ ranksOf }) => ranksOf?.startsWith(`${salora}:learning-rate`) === true),
    ),
    ...line('SaLoRA, from 8 to 1: window from 0.2 to 0.5, the default', defaults),
    ...variants.flatMap(([name, title]) =>
      line(
        `SaLoRA: ${title}`,
        choosing(runs, name).find(({ rate }) => rate === defaults?.rate),
      ),
    ),
  ]
  return markdown(markdownTable(['method', 'loss', 'minus LoRA'], cells, ['left', 'right', 'right']))
}

/** A set's losses of LoRA and of SaLoRA at one rate, by the seeds that both have. */
const pairsOf = (runs: ReadonlyArray<DecoderRun>, set: string, rate: number) => {
  const losses = (row: string): ReadonlyMap<number, number> =>
    new Map(
      runs
        .filter((run) => run.part === 'report' && run.set === set && run.row === row && run.rate === rate)
        .map(({ seed, loss }) => [seed, loss]),
    )
  const [first, second] = [losses('lora-1'), losses(early)]
  const seeds = [...first.keys()].filter((seed) => second.has(seed)).sort((a, b) => a - b)
  const [lora, found] = [first, second].map((row) => seeds.map((seed) => row.get(seed) ?? NaN)) as [number[], number[]]
  return { lora, found, differences: found.map((loss, i) => loss - (lora[i] ?? NaN)) }
}

/** A lower loss is better. */
const verdictOf = (interval: Interval | null): string =>
  ({ ahead: 'worse', behind: 'better', none: 'no difference shown' })[directionOf(interval)]

const reportedRegions = (runs: ReadonlyArray<DecoderRun>): Readonly<Record<'reported' | 'chart', Region>> => {
  const rates = [...new Set(runs.filter(({ part }) => part === 'report').map(({ rate }) => rate))].sort((a, b) => b - a)
  const byRate = rates.map((rate) => {
    const bySet = sets.map(([set, title]) => ({ title, ...pairsOf(runs, set, rate) })).filter(({ differences }) => differences.length > 0)
    return { rate: rate.toExponential(), bySet, overall: clusteredDifference(bySet.map(({ differences }) => differences)) }
  })
  const rows = byRate.flatMap(({ rate, bySet, overall }) => [
    ...bySet.map(({ title, lora, found, differences }) => [
      rate,
      title,
      lora.map((loss) => loss.toFixed(4)).join(', '),
      found.map((loss) => loss.toFixed(4)).join(', '),
      differences.map((difference) => signed(difference, 4)).join(', '),
    ]),
    [rate, '**mean**', '', '', overall === null ? '–' : `${differenceText(overall, 4)}: ${verdictOf(overall.interval)}`],
  ])
  const head = ['rate', 'text', 'LoRA, r = 1, by seed', 'SaLoRA, early window, by seed', 'SaLoRA minus LoRA']
  const points = byRate.flatMap(({ rate, bySet }) =>
    bySet.map(({ title, differences }): IntervalPoint => {
      const value = mean(differences)
      return { row: `${title}, ${rate}`, value, low: value, high: value }
    }),
  )
  const means = byRate.flatMap(
    ({ rate, overall }): ReadonlyArray<IntervalPoint> =>
      overall?.interval == null ? [] : [{ row: `mean, ${rate}`, value: overall.mean, low: overall.interval[0], high: overall.interval[1] }],
  )
  const values = points.map(({ value }) => value)
  return {
    reported: markdown(markdownTable(head, rows, ['left', 'left', 'left', 'left', 'left'])),
    chart: chart(
      `SaLoRA's loss minus LoRA's by set of text and rate: from ${signed(Math.min(...values), 3)} to ${signed(Math.max(...values), 3)}.`,
      intervalChart([...points, ...means], "SaLoRA's loss minus LoRA's (above zero: SaLoRA is worse)", 0),
    ),
  }
}

export const smallDecoderPage: ResultsPage = {
  name: 'small-decoder',
  regions: (read) => {
    const runs = (read('decoder') as { readonly runs: ReadonlyArray<StoredRun> }).runs.map(decoderRun)
    return { ...reportedRegions(runs), rates: ratesTable(runs), variants: variantsTable(runs) }
  },
}
