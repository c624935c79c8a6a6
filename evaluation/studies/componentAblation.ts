/** SaLoRA's components at T_end: what each is worth by its ablated loss, and runs that continue with any choice of them. */
import type { AdaptedMatrix } from '../../accelerated/methods/lowRank.js'
import { gateSchedule } from '../../accelerated/methods/salora/gateSchedule.js'
import { gateCosts } from '../../accelerated/methods/salora/lagrangian.js'
import { saloraPhase } from '../../accelerated/methods/salora/phase.js'
import { withinBudget } from '../../accelerated/methods/salora/retention.js'
import type { SaloraSettings } from '../../accelerated/methods/salora/settings.js'
import type { InferenceState, RunState } from '../../accelerated/parameters/runState.js'
import { mapVectors, tensorOf, type Vector } from '../../accelerated/parameters/vectors.js'
import { layoutOf } from '../../accelerated/training/assembly.js'
import { inferenceStateOf } from '../../accelerated/training/evaluation.js'
import type { Settings } from '../../accelerated/training/settings.js'
import type { Scored, TrainingResult } from '../../accelerated/training/events.js'
import type { PreparedRun, RunTask } from '../../finetuning/runs/prepareTask.js'

/** One number for each component, in the order of the matrices. */
export type Components = {
  readonly matrices: ReadonlyArray<AdaptedMatrix>
  /** numbers of A's row and B's column */
  readonly costs: ReadonlyArray<number>
  readonly logTheta: ReadonlyArray<number>
  /** ‖ĝ Bⱼ‖ ‖Aⱼ‖ */
  readonly sizes: ReadonlyArray<number>
}

/** Trains up to T_end. → the state before its components are cut */
export const trainToCut = async (run: PreparedRun): Promise<RunState> => {
  const { end } = gateSchedule(run.task.settings as Settings & SaloraSettings, run.plan.steps)
  return (await trainFrom(run, run.start, end)).last
}

/** Trains to the end of the run. → the model without noise */
export const trainOn = async (run: PreparedRun, state: RunState): Promise<InferenceState> =>
  (await trainFrom(run, state, run.plan.steps)).inference

const trainFrom = async (run: PreparedRun, state: RunState, steps: number): Promise<TrainingResult> => {
  const stop = new AbortController()
  const copy = { ...state, ...mapVectors(state, (vector) => vector.slice()) } // training overwrites its start
  const training = run.train({}, copy, null, stop.signal)
  for (;;) {
    const next = await training.next()
    if (next.done === true) return next.value
    if (next.value.kind === 'step' && next.value.step === steps && steps < run.plan.steps) stop.abort()
  }
}

export const componentsOf = (task: RunTask, state: RunState): Components => {
  const { matrices } = saloraPhase.parse(state.phase)
  const { phase, parameters } = inferenceStateOf(task, state)
  const layout = layoutOf(task, phase)
  const norm = (values: ReadonlyArray<number>): number => Math.hypot(...values)
  return {
    matrices,
    costs: gateCosts(matrices),
    logTheta: Array.from(tensorOf(layoutOf(task, state.phase), state.parameters, 'logTheta')),
    sizes: matrices.flatMap(({ name, r, k }) => {
      const [A, B] = ['A', 'B'].map((factor) => Array.from(tensorOf(layout, parameters, `${name}.${factor}`)))
      return Array.from({ length: r }, (_, j) => norm((A ?? []).slice(j * k, (j + 1) * k)) * norm((B ?? []).filter((_, i) => i % r === j)))
    }),
  }
}

/** The components that the budget keeps, the greatest of a measure first. */
export const keptWithin = ({ costs }: Pick<Components, 'costs'>, measure: ReadonlyArray<number>, density: number): ReadonlySet<number> => {
  const descending = costs.map((_, j) => j).sort((a, b) => (measure[b] ?? 0) - (measure[a] ?? 0) || a - b)
  return new Set(withinBudget(descending, costs, density))
}

/** The state with only these components at T_end: log θ of the others is so low that their gates are 0. */
export const withOnly = (task: RunTask, state: RunState, kept: ReadonlySet<number>): RunState => {
  const parameters = state.parameters.slice()
  const logTheta = tensorOf(layoutOf(task, state.phase), parameters, 'logTheta')
  logTheta.forEach((_, j) => {
    if (!kept.has(j)) logTheta[j] = shut
  })
  return { ...state, parameters }
}

/** log θ of a gate that is 0 and the last in any order. */
const shut = -1000

/** Losses on the evaluation rows, each without the components that one of `removed` names. Gates have their expected values. */
export const ablatedLosses = async (
  run: PreparedRun,
  state: RunState,
  removed: ReadonlyArray<(component: number) => boolean>,
): Promise<ReadonlyArray<number>> => {
  const { matrices } = saloraPhase.parse(state.phase)
  const { phase, parameters } = inferenceStateOf(run.task, state)
  const layout = layoutOf(run.task, phase)
  function* states(): Generator<Vector> {
    for (const isRemoved of removed) {
      const changed = parameters.slice()
      let first = 0
      for (const { name, r } of matrices) {
        const before = first
        const B = tensorOf(layout, changed, `${name}.B`)
        B.forEach((_, i) => {
          if (isRemoved(before + (i % r))) B[i] = 0
        })
        first += r
      }
      yield changed
    }
  }
  const losses: number[] = []
  for await (const scored of run.evaluateEach(phase, states())) losses.push(lossOf(scored))
  return losses
}

/** The loss of an evaluation: cross-entropy of classes, mean squared error of numbers. */
const lossOf = ({ scores }: Scored): number => {
  const loss = scores['loss'] ?? scores['mse']
  if (loss === undefined) throw new Error(`componentAblation: expected a loss, got ${Object.keys(scores).join(', ')}`)
  return loss
}

/** Scores of a model on the evaluation rows of a run. */
export const scoresOn = async (run: PreparedRun, { phase, parameters }: InferenceState): Promise<Scored['scores']> => {
  for await (const { scores } of run.evaluateEach(phase, [parameters])) return scores
  throw new Error('componentAblation: expected scores, got none')
}
