/** A stretch of training steps with one kind of gating, done by both derivations from the same state, batch and noise. */
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Results } from '../../accelerated/engines/engine.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { startFrom, trainingStep, zerosLike, type Gating, type StepReport, type TrainingState } from '../../reference/index.js'
import { follow, overall, type Followed, type RoundedLevels } from './int8Rounding.js'
import {
  type Target,
  boundIn,
  findDtype,
  type AnyModel,
  buildAssembly,
  phaseIn,
  layoutFor,
  matrixNames,
  openStep,
  buildFeeds,
  runStep,
  buildInitialState,
} from './acceleratedSide.js'

export type LockstepResult = {
  readonly reference: TrainingState
  readonly accelerated: RunState
  /** of the last step */
  readonly report: StepReport
  readonly results: Results
  /** of all steps */
  readonly levels: readonly RoundedLevels[]
}

/** The reference's side of a step that had these results, or of runs on one part of a batch after another. */
export const followStep = (model: AnyModel, target: Target, results: readonly Results[]): Followed => {
  const assembly = buildAssembly(model, target.precision)
  return follow(assembly.frozen, matrixNames(assembly), results, boundIn(target))
}

/** Both derivations `steps` steps on. The noise is placed by the reference's log θ and given to both. */
export const advance = async (
  model: AnyModel,
  target: Target,
  start: Pick<LockstepResult, 'reference' | 'accelerated'>,
  gating: Gating,
  steps: number,
): Promise<LockstepResult> => {
  const phase = phaseIn(start.accelerated)
  const layout = layoutFor(model, phase)
  const dtype = findDtype(target)
  const session = await openStep(model, phase, 'whole', target)
  const levels: (readonly RoundedLevels[])[] = []
  let [reached, report, results] = [start, undefined as StepReport | undefined, {} as Results]
  try {
    for (let i = 0; i < steps; i++) {
      const { reference, accelerated } = reached
      const noise = model.noiseAt(reference.adapters, reference.step)
      const gatedStep = reference.gatedStep + (gating === 'sampled' ? 1 : 0)
      const feeds = buildFeeds(model, phase, noise, reference.step + 1, gatedStep, target.precision)
      const stepped = await runStep(session, layout, accelerated, feeds, dtype)
      results = stepped.results
      const followed = followStep(model, target, [results])
      const step = trainingStep(model.config, model.settings, model.base, followed)
      const [next, reported] = step(reference, model.batch, noise, { ...model.control, gating })
      levels.push(followed.levels())
      report = reported
      reached = { reference: next, accelerated: stepped.state }
    }
  } finally {
    await session.release()
  }
  if (report === undefined) throw new Error(`advance: expected at least one step, got ${steps}`)
  return { ...reached, report, results, levels: overall(levels) }
}

export const initializeBoth = (model: AnyModel, gating: Gating, dtype: FloatType): Pick<LockstepResult, 'reference' | 'accelerated'> => ({
  reference: startFrom(model.parameters),
  accelerated: buildInitialState(model, gating, dtype),
})

/** Before T_start: log θ = 0, and λ = 0 or its constant, as a run's gates will start. */
export const initializeRun = (model: AnyModel, dtype: FloatType): Pick<LockstepResult, 'reference' | 'accelerated'> => {
  const { reference, accelerated } = initializeBoth(model, 'open', dtype)
  const adapters = Object.fromEntries(
    Object.entries(reference.adapters).map(([name, adapter]) => [name, { ...adapter, logTheta: zerosLike(adapter.logTheta) }]),
  )
  const lambda = model.settings.control === 'constant' ? model.parameters.lambda : 0
  return { reference: { ...reference, adapters, lambda }, accelerated }
}
