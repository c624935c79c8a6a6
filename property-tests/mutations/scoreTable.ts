/** Scores by room, of listed mutations and of StrykerJS alike: the share that a test caught, among those that were tried. */

/**
 *  - caught: a test failed, or did not end
 *  - survived: all tests passed, so a test is missing
 *  - stale: the code or a test file has changed, so the mutation no longer applies
 *  - untested: its tests fail without it, so they prove nothing
 *  - ignored: StrykerJS did not try it, for instance because it does not compile
 */
export type Verdict = 'caught' | 'survived' | 'stale' | 'untested' | 'ignored'

type Tried = { readonly room: string; readonly verdict: Verdict }

const row = (name: string, outcomes: readonly Tried[]): readonly string[] => {
  const [caught, survived] = (['caught', 'survived'] as const).map((verdict) => outcomes.filter((one) => one.verdict === verdict).length)
  const tried = (caught ?? 0) + (survived ?? 0)
  const score = tried === 0 ? '' : `${(Math.floor((1000 * (caught ?? 0)) / tried) / 10).toFixed(1)} %`
  return [name, String(caught), String(survived), String(outcomes.length - tried), score]
}

/** A line for each room, in the order of the outcomes, and one for all of several. 100.0 % means that nothing survived. */
export const scoreTable = (outcomes: readonly Tried[]): string => {
  const names = [...new Set(outcomes.map(({ room }) => room))]
  const rows = [
    ['room', 'caught', 'survived', 'not tried', 'score'],
    ...names.map((name) =>
      row(
        name,
        outcomes.filter(({ room }) => room === name),
      ),
    ),
    ...(names.length > 1 ? [row('all', outcomes)] : []),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)))
  const pad = (cell: string, i: number): string => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))
  return rows.map((cells) => cells.map(pad).join('  ').trimEnd()).join('\n')
}
