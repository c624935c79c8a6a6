/** The score of the tests by area: the share of mutations that a test caught, among those that were tried. */
import type { Outcome, Verdict } from './applyEach.js'

export type AreaScore = { readonly area: string; readonly counts: Readonly<Record<Verdict, number>>; readonly score: number | null }

export const scoreOf = (area: string, outcomes: readonly Outcome[]): AreaScore => {
  const count = (verdict: Verdict): number => outcomes.filter((outcome) => outcome.verdict === verdict).length
  const counts = { caught: count('caught'), survived: count('survived'), stale: count('stale'), untested: count('untested') }
  const tried = counts.caught + counts.survived
  return { area, counts, score: tried === 0 ? null : counts.caught / tried }
}

/** A row for each area, in the order of the outcomes, and one for all. */
export const scores = (outcomes: readonly Outcome[]): readonly AreaScore[] => [
  ...[...new Set(outcomes.map(({ area }) => area))].map((area) =>
    scoreOf(
      area,
      outcomes.filter((outcome) => outcome.area === area),
    ),
  ),
  scoreOf('all', outcomes),
]

export const tableOf = (rows: readonly AreaScore[]): string => {
  const cells = [
    ['area', 'caught', 'survived', 'stale', 'untested', 'score'],
    ...rows.map(({ area, counts: { caught, survived, stale, untested }, score }) => [
      area,
      ...[caught, survived, stale, untested].map(String),
      score === null ? '' : `${Math.floor(100 * score)} %`,
    ]),
  ]
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  return cells.map(line).join('\n')
}
