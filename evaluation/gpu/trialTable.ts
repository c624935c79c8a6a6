/** The outcomes of a trial as a page of Markdown: a line per stage, then what the stages measured. */
import { markdownTable } from '../tables/tableText.js'
import type { Facts, Outcome, TrialOptions } from './stage.js'

export const trialPage = (outcomes: ReadonlyArray<Outcome>, { device, small }: Pick<TrialOptions, 'device' | 'small'>): string =>
  [
    `# salora on ${device}\n`,
    ...(small ? ['A rehearsal with tiny shapes and few steps: its times are those of no model.\n'] : []),
    markdownTable(
      ['stage', 'result', 'seconds'],
      outcomes.map((outcome) => [
        outcome.title,
        'failed' in outcome ? `failed: ${outcome.failed}` : summaryOf(outcome.facts),
        outcome.seconds.toFixed(0),
      ]),
      ['left', 'left', 'right'],
    ),
    ...speedTable(outcomes),
  ].join('\n')

/** One line of a stage's facts. The numbers are in the JSON file. */
const summaryOf = (facts: Facts): string => {
  const { card, comparisons, broken, largestDifference, placement, sameBits, sameRanks, scores, ours } = facts as {
    readonly card?: { readonly name: string; readonly memoryBytes: number; readonly driver: string } | null
    readonly comparisons?: number
    readonly broken?: number
    readonly largestDifference?: number
    readonly placement?: { readonly floatNodes: number | null; readonly onCpu: Readonly<Record<string, number>> } | null
    readonly sameBits?: boolean
    readonly sameRanks?: boolean
    readonly scores?: Readonly<Record<string, number>> | null
    readonly ours?: { readonly milliseconds: number }
  }
  const onCpu = Object.values(placement?.onCpu ?? {}).reduce((sum, count) => sum + count, 0)
  return [
    ...(facts['device'] === undefined ? [] : ['works']),
    ...(facts['task'] === undefined ? [] : [String(facts['task'])]),
    ...(card == null ? [] : [`${card.name}, ${(card.memoryBytes / 1e9).toFixed(0)} GB, driver ${card.driver}`]),
    ...(comparisons === undefined ? [] : [`${comparisons - (broken ?? 0)} of ${comparisons} comparisons hold`]),
    ...(largestDifference === undefined ? [] : [`losses within ${largestDifference.toExponential(1)}`]),
    ...(sameRanks === undefined ? [] : [sameRanks ? 'the same ranks' : 'other ranks']),
    ...(sameBits === undefined ? [] : [sameBits ? 'the same bits' : 'other bits']),
    ...Object.entries(scores ?? {}).map(([name, score]) => `${name} ${score.toFixed(4)}`),
    ...(ours === undefined ? [] : [`${ours.milliseconds.toFixed(1)} ms`]),
    ...(placement == null ? [] : [`${onCpu} of ${placement.floatNodes ?? '?'} float nodes on the CPU`]),
  ].join(', ')
}

type Side = { readonly precision: string; readonly milliseconds: number; readonly cardBytes: number | null }

const speedTable = (outcomes: ReadonlyArray<Outcome>): ReadonlyArray<string> => {
  const rows = outcomes.flatMap((outcome) => {
    if (!('facts' in outcome) || outcome.facts['ours'] === undefined) return []
    const { ours, peer } = outcome.facts as { readonly ours: Side; readonly peer: Side | null }
    const ratio = peer === null ? '–' : `${(peer.milliseconds / ours.milliseconds).toFixed(2)} ×`
    return [[outcome.title, ...cellsOf(ours), ...(peer === null ? ['–', '–', '–'] : cellsOf(peer)), ratio]]
  })
  const header = ['step', 'salora', 'ms', 'card memory', 'PEFT', 'ms', 'card memory', "PEFT's time over ours"]
  return rows.length === 0 ? [] : [markdownTable(header, rows, ['left', 'left', 'right', 'right', 'left', 'right', 'right', 'right'])]
}

const cellsOf = ({ precision, milliseconds, cardBytes }: Side): ReadonlyArray<string> => [
  precision,
  milliseconds.toFixed(1),
  cardBytes === null ? '–' : `${(cardBytes / 1e9).toFixed(2)} GB`,
]
