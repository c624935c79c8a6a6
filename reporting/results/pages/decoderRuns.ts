/** Runs of the small decoder: what their names say, the best of a row's rates, and pairs of two rows by set of text. A lower loss is better. */
import { mean } from 'simple-statistics'
import { clusteredDifference, directionOf, type Interval } from '../../../evaluation/glue/statistics.js'
import type { ComparedRun } from '../../../evaluation/studies/comparison.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalChart, type IntervalPoint } from '../../charts/intervalChart.js'
import { differenceText, signed, thousands } from '../numbers.js'
import { chart, markdown, type Region } from '../page.js'
import { sizeOf } from '../storedSweeps.js'

export type StoredRun = Pick<ComparedRun, 'variant' | 'seed'> & ComparedRun['result']

/** A run by what its name says: the rows that are scored, the set of text, and the row of the study. */
export type DecoderRun = {
  readonly part: string
  readonly set: string
  /** `lora-1`, or `lora-1 on ranks of ROW` where it trains from scratch on the ranks of another row or of a file */
  readonly row: string
  readonly rate: number
  readonly seed: number
  readonly loss: number
  readonly numbers: number
  /** the final rank of each matrix */
  readonly ranks: Readonly<Record<string, number>>
}

/** `report tales lora-1:learning-rate=3e-3`: a set of text has a name, but for Alpaca. */
export const decoderRun = (run: StoredRun): DecoderRun => {
  const [, part = '', set = 'alpaca', row = '', rate = '', ranks = ''] =
    /^(choose|report) (?:([\w.]+) )?([^ ]+):learning-rate=([^ ]+)( on ranks of .+)?$/.exec(run.variant) ?? []
  return {
    part,
    set,
    row: row + ranks,
    rate: Number(rate),
    seed: run.seed,
    loss: run.last.scores['loss'] ?? NaN,
    numbers: sizeOf(run),
    ranks: run.ranks ?? {},
  }
}

/** A row of the study, and its words. */
export type Titled = readonly [row: string, title: string]

export const sets: ReadonlyArray<Titled> = [
  ['alpaca', 'Alpaca'],
  ['tales', "Grimm's tales"],
  ['tinyshakespeare', 'tinyshakespeare'],
  ['wiki.valid', 'WikiText-2'],
  ['yelp_shen2017.negative', 'Yelp, negative'],
]

/** A row's runs on the rows that choose, by rate. */
export const choosing = (runs: ReadonlyArray<DecoderRun>, name: string, of = 'alpaca'): ReadonlyArray<DecoderRun> =>
  runs.filter(({ part, set, row }) => part === 'choose' && set === of && row === name).sort((a, b) => a.rate - b.rate)

const lowest = (runs: ReadonlyArray<DecoderRun>): DecoderRun | undefined => [...runs].sort((a, b) => a.loss - b.loss)[0]

export const bestOf = (runs: ReadonlyArray<DecoderRun>, name: string): DecoderRun | undefined => lowest(choosing(runs, name))

/** The row with the least loss on a set's rows that choose, at one rate. */
export const bestOfSet = (runs: ReadonlyArray<DecoderRun>, rows: ReadonlyArray<Titled>, rate: number, set: string): string | undefined =>
  lowest(rows.flatMap(([name]) => choosing(runs, name, set).filter((run) => run.rate === rate)))?.row

/** Losses on each set's rows that choose at one rate. The least of a set is bold. @param method what all rows have in common */
export const setsTable = (runs: ReadonlyArray<DecoderRun>, rows: ReadonlyArray<Titled>, rate: number, method: string): Region => {
  const best = sets.map(([set]) => bestOfSet(runs, rows, rate, set))
  const cells = rows.map(([name, title]) => {
    const own = sets.map(([set]) => choosing(runs, name, set).find((run) => run.rate === rate))
    const losses = own.map((run, i) => (run === undefined ? '–' : best[i] === name ? `**${run.loss.toFixed(3)}**` : run.loss.toFixed(3)))
    return [title, thousands(own.find((run) => run !== undefined)?.numbers ?? NaN), ...losses]
  })
  const head = [method, 'numbers', ...sets.map(([, title]) => title)]
  return markdown(markdownTable(head, cells, ['left', ...head.slice(1).map(() => 'right' as const)]))
}

/** The components that a row keeps with seed 0, by set of text, kind of matrix and third of the layers. */
export const keptTable = (runs: ReadonlyArray<DecoderRun>, name: string): Region => {
  const cells = sets.flatMap(([set, title]) => {
    const run = runs.find(({ part, set: of, row, seed }) => part === 'report' && of === set && row === name && seed === 0)
    if (run === undefined) return []
    const kept = Object.entries(run.ranks).map(([matrix, rank]) => ({ matrix, rank, layer: Number(/^layers\.(\d+)\./.exec(matrix)?.[1]) }))
    const count = (has: (one: (typeof kept)[number]) => boolean): string =>
      String(kept.filter(has).reduce((sum, { rank }) => sum + rank, 0))
    return [
      [
        title,
        count(() => true),
        count(({ matrix }) => /[vo]_proj$/.test(matrix)),
        ...[0, 1, 2].map((third) => count(({ layer }) => Math.floor(layer / 10) === third)),
      ],
    ]
  })
  const head = ['text', 'components', 'of value and output', 'in layers 1 to 10', '11 to 20', '21 to 30']
  return markdown(markdownTable(head, cells, ['left', ...head.slice(1).map(() => 'right' as const)]))
}

/** Losses on the rows that choose, by row and rate. */
export const ratesTable = (runs: ReadonlyArray<DecoderRun>, rows: ReadonlyArray<Titled>): Region => {
  const tried = rows.map(([name, title]) => ({ title, best: bestOf(runs, name), runs: choosing(runs, name) }))
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

/** A row, by default of SaLoRA, and the base that it is compared with. */
export type Compared = {
  readonly base: Titled
  /** the base's row where sets have rows of their own */
  readonly baseOf?: (set: string) => string | undefined
  readonly other: Titled
  /** the other row where sets have rows of their own */
  readonly otherOf?: (set: string) => string | undefined
  /** the base's rate, if it is another than that of the row beside it */
  readonly baseRate?: number
  /** the base in the head of the differences */
  readonly baseName: string
  /** the other row there, if it is not `SaLoRA` */
  readonly otherName?: string
}

/** A set's losses of both rows at one rate, by the seeds that both have. */
const pairsOf = (
  runs: ReadonlyArray<DecoderRun>,
  { base: [baseRow], baseOf = () => baseRow, baseRate, other: [otherRow], otherOf = () => otherRow }: Compared,
  set: string,
  rate: number,
) => {
  const losses = (row: string | undefined, at: number): ReadonlyMap<number, number> =>
    new Map(
      runs
        .filter((run) => run.part === 'report' && run.set === set && run.row === row && run.rate === at)
        .map(({ seed, loss }) => [seed, loss]),
    )
  const [first, second] = [losses(baseOf(set), baseRate ?? rate), losses(otherOf(set), rate)]
  const seeds = [...first.keys()].filter((seed) => second.has(seed)).sort((a, b) => a - b)
  const [base, found] = [first, second].map((row) => seeds.map((seed) => row.get(seed) ?? NaN)) as [number[], number[]]
  return { base, found, differences: found.map((loss, i) => loss - (base[i] ?? NaN)) }
}

/** Differences of the second row from the first by set of text, and by seed. */
export const differencesBySet = (runs: ReadonlyArray<DecoderRun>, compared: Compared, rate: number): ReadonlyArray<ReadonlyArray<number>> =>
  sets.map(([set]) => pairsOf(runs, compared, set, rate).differences)

/** Means over the sets of a row's differences from several bases. */
export const meansTable = (runs: ReadonlyArray<DecoderRun>, comparisons: ReadonlyArray<Compared>, rate: number): Region => {
  const rows = comparisons.map((compared) => {
    const bySet = differencesBySet(runs, compared, rate)
    const overall = clusteredDifference(bySet)
    const seeds = bySet.map(({ length }) => length)
    return [
      `${compared.other[1]} minus ${compared.base[1]}`,
      overall === null ? '–' : `${differenceText(overall, 4)}: ${verdictOf(overall.interval, seeds)}`,
    ]
  })
  return markdown(markdownTable(['rows', 'mean of the five sets'], rows, ['left', 'left']))
}

/** One seed shares its draws over all sets, so a verdict needs two of each set. */
const verdictOf = (interval: Interval | null, seeds: ReadonlyArray<number>): string =>
  seeds.some((count) => count < 2)
    ? 'one seed on some sets'
    : { ahead: 'worse', behind: 'better', none: 'no difference shown' }[directionOf(interval)]

/** The table of two rows by rate and set of text, with means that are clustered by set, and its chart. */
export const reportedPairs = (runs: ReadonlyArray<DecoderRun>, compared: Compared): { readonly table: Region; readonly chart: Region } => {
  const { otherName = 'SaLoRA' } = compared
  const ofRow = runs.filter(({ part, row }) => part === 'report' && row === compared.other[0])
  const rates = [...new Set(ofRow.map(({ rate }) => rate))].filter((rate) => rate !== compared.baseRate)
  const byRate = rates
    .sort((a, b) => b - a)
    .map((rate) => {
      const bySet = sets
        .map(([set, title]) => ({ title, ...pairsOf(runs, compared, set, rate) }))
        .filter(({ differences }) => differences.length > 0)
      return { rate: rate.toExponential(), bySet, overall: clusteredDifference(bySet.map(({ differences }) => differences)) }
    })
  const rows = byRate.flatMap(({ rate, bySet, overall }) => [
    ...bySet.map(({ title, base, found, differences }) => [
      rate,
      title,
      base.map((loss) => loss.toFixed(4)).join(', '),
      found.map((loss) => loss.toFixed(4)).join(', '),
      differences.map((difference) => signed(difference, 4)).join(', '),
    ]),
    [
      rate,
      '**mean**',
      '',
      '',
      overall === null
        ? '–'
        : `${differenceText(overall, 4)}: ${verdictOf(
            overall.interval,
            bySet.map(({ differences }) => differences.length),
          )}`,
    ],
  ])
  const head = ['rate', 'text', `${compared.base[1]}, by seed`, `${compared.other[1]}, by seed`, `${otherName} minus ${compared.baseName}`]
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
    table: markdown(markdownTable(head, rows, ['left', 'left', 'left', 'left', 'left'])),
    chart: chart(
      `The loss of ${otherName} minus that of ${compared.baseName} by set of text and rate: from ${signed(Math.min(...values), 3)} to ${signed(Math.max(...values), 3)}.`,
      intervalChart(
        [...points, ...means],
        `Loss of ${otherName} minus that of ${compared.baseName} (above zero: ${otherName} is worse)`,
        0,
      ),
    ),
  }
}
