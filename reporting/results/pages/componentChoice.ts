/** Could another choice of components score higher than the gates'? Losses after the cut, and scores at the end of runs that continued with each choice. */
import { mean, median } from 'simple-statistics'
import { deterministicGateOn } from '../../../accelerated/methods/salora/hardConcrete.js'
import { numberBackend } from '../../../accelerated/methods/salora/numericBackend.js'
import { scoreOf } from '../../../evaluation/glue/score.js'
import { clusteredDifference } from '../../../evaluation/glue/statistics.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import type { GlueName } from '../../../finetuning/data/glueTasks.js'
import { spearman } from '../../../finetuning/metrics/correlation.js'
import { differenceText, signed, verdict } from '../numbers.js'
import { markdown, type Region } from '../page.js'

/** What componentChoice.ts writes. */
export type StoredChoices = { readonly runs: ReadonlyArray<StoredChoice> }

export type StoredChoice = {
  readonly task: GlueName
  readonly seed: number
  readonly lossOfAll: number
  readonly matrices: ReadonlyArray<{ readonly name: string; readonly d: number; readonly k: number; readonly r: number }>
  /** one number for each component, in the order of the matrices */
  readonly components: Readonly<Record<'logTheta' | 'size' | 'ablatedLoss', ReadonlyArray<number>>>
  readonly choices: ReadonlyArray<{
    readonly order: Order
    readonly kept: ReadonlyArray<number>
    readonly lossAfterCut: number
    /** on the dev set, after the last step; null: the run did not continue */
    readonly scores: Readonly<Record<string, number>> | null
  }>
}

type Order = 'logTheta' | 'ablatedLoss' | 'size' | 'random'

const choiceOf = ({ task, choices }: StoredChoice, order: Order): StoredChoice['choices'][number] => {
  const choice = choices.find((one) => one.order === order)
  if (choice === undefined) throw new Error(`results: expected the choice by ${order} of ${task}, got none`)
  return choice
}

/** Spearman's correlations of the ablated losses per number with another measure: of all components, and the mean over matrices. */
const correlations = ({ matrices, components }: StoredChoice, measure: 'logTheta' | 'size'): readonly [all: number, within: number] => {
  const costs = matrices.flatMap(({ d, k, r }) => new Array<number>(r).fill(d + k))
  const worth = components.ablatedLoss.map((loss, j) => loss / (costs[j] ?? NaN))
  let first = 0
  const within = matrices.map(({ r }) => {
    first += r
    return spearman(worth.slice(first - r, first), components[measure].slice(first - r, first))
  })
  return [spearman(worth, components[measure]), mean(within)]
}

/** ĝ of each component, at the default τ, γ and ζ. */
const gates = ({ components }: StoredChoice): ReadonlyArray<number> =>
  deterministicGateOn(numberBackend)({ tau: 1, gamma: -0.1, zeta: 1.1 })(components.logTheta)

/** Losses of held-out rows before and after the cut, the open gates, and how the measures of a component agree. */
export const lossesAfterCut = ({ runs }: StoredChoices): Region => {
  const head = [
    'task',
    'open gates',
    'median ĝ of these',
    'loss before',
    ...['log θ', 'ablated loss', 'chance'].map((by) => `kept by ${by}`),
    'ρ with log θ',
    'ρ with ‖ĝ B‖ ‖A‖',
  ]
  const rows = runs.map((run) => {
    const open = gates(run).filter((gate) => gate > 0)
    return [
      ...[run.task, `${open.length} of ${run.components.logTheta.length}`, median(open).toFixed(2), run.lossOfAll.toFixed(3)],
      ...(['logTheta', 'ablatedLoss', 'random'] as const).map((order) => choiceOf(run, order).lossAfterCut.toFixed(3)),
      ...(['logTheta', 'size'] as const).map((measure) =>
        correlations(run, measure)
          .map((value) => signed(value, 2))
          .join(' and '),
      ),
    ]
  })
  return markdown(
    markdownTable(
      head,
      rows,
      head.map((_, i) => (i < 1 ? 'left' : 'right')),
    ),
  )
}

/** Scores of the dev set at the end, in points, and differences from the choice of the gates. */
export const scoresOfChoices = ({ runs }: StoredChoices): Region => {
  const scored = runs.map((run) => {
    const points = (order: Order): number => {
      const { scores } = choiceOf(run, order)
      return scores === null ? NaN : scoreOf(run.task, 'last', { last: { step: 0, scores }, best: null })
    }
    const [gates, ablated, random] = [points('logTheta'), points('ablatedLoss'), points('random')]
    return { task: run.task, gates, ablated, random }
  })
  const rows = scored.map(({ task, gates, ablated, random }) => [
    ...[task, gates.toFixed(2), ablated.toFixed(2), random.toFixed(2)],
    ...[signed(ablated - gates, 2), signed(random - gates, 2)],
  ])
  const overall = (of: 'ablated' | 'random'): string => {
    const difference = clusteredDifference(
      [...new Set(scored.map(({ task }) => task))].map((task) =>
        scored.filter((one) => one.task === task).map((one) => one[of] - one.gates),
      ),
    )
    return difference === null ? '–' : `${differenceText(difference, 2)}: ${verdict(difference.interval)}`
  }
  const head = ['task', 'log θ', 'ablated loss', 'chance', 'ablated loss minus log θ', 'chance minus log θ']
  return markdown(
    markdownTable(
      head,
      [...rows, ['all', '', '', '', overall('ablated'), overall('random')]],
      ['left', 'right', 'right', 'right', 'left', 'left'],
    ),
  )
}
