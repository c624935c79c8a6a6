/** A stretch of training steps with one kind of gating, done by both derivations from the same state, batch and noise. */
import type { Feeds, NumericArray } from '../../accelerated/runtime/feeds.js'
import { floatFeed } from '../../accelerated/runtime/feeds.js'
import { parameterLayout, zeros, type ParameterLayout, type Vector } from '../../accelerated/training/parameterVector.js'
import { openSession, type Session } from '../../accelerated/runtime/session.js'
import { saloraObjective, saloraTrainables, type AdaptedModule, type Gating } from '../../accelerated/methods/salora/salora.js'
import { batchFeeds, stateFeeds } from '../../accelerated/training/trainFeeds.js'
import type { RunState } from '../../accelerated/training/runState.js'
import { trainingStep as stepGraph, type Accumulation, type Objective, type Scalar } from '../../accelerated/training/trainingStep.js'
import type { Device } from '../../accelerated/runtime/devices.js'
import {
  moduleShape,
  scaleOf,
  startFrom,
  trainingStep,
  zerosLike,
  type Noise,
  type StepReport,
  type TrainingState,
} from '../../reference/index.js'
import type { Model } from './model.js'
import { constants, dropoutFeeds, dropoutOf, gateVector, scalarFeeds, toExamples, toVector } from './translate.js'

/** Where and in what the accelerated path computes. */
export type Target = { readonly device: Device; readonly dtype: Scalar }

/** Tiny graphs: more threads would only wait for each other. */
export const sessionOf = ({ device }: Target) => ({ device, threads: 1, weightFiles: [] })

export const modulesOf = ({ config }: Model, adapters: TrainingState['adapters']): ReadonlyArray<AdaptedModule> =>
  Object.entries(adapters).map(([name, { logTheta }]) => {
    const [d, k] = moduleShape(config, name)
    return { name, d, k, r: logTheta.data.length }
  })

export const layoutFor = ({ config }: Model, modules: ReadonlyArray<AdaptedModule>, gating: Gating): ParameterLayout =>
  parameterLayout(saloraTrainables(config, modules, gating))

/** The production graph of one step; `extra` adds outputs to what it reports. */
export const openStep = (
  model: Model,
  modules: ReadonlyArray<AdaptedModule>,
  gating: Gating,
  accumulation: Accumulation,
  target: Target,
  extra: (parameter: Parameters<Objective>[0]) => ReturnType<Objective>['report'] = () => ({}),
): Promise<Session> => openSession(stepOutputs(model, modules, gating, accumulation, target.dtype, extra), sessionOf(target))

/** Its expressions. */
export const stepOutputs = (
  model: Model,
  modules: ReadonlyArray<AdaptedModule>,
  gating: Gating,
  accumulation: Accumulation,
  dtype: Scalar,
  extra: (parameter: Parameters<Objective>[0]) => ReturnType<Objective>['report'] = () => ({}),
): ReturnType<typeof stepGraph> => {
  const { config, settings } = model
  const objective = saloraObjective(
    config,
    constants(model.base, dtype),
    modules,
    { ...settings, scale: scaleOf(settings) },
    gating,
    dropoutOf(config, dtype),
    dtype,
    accumulation !== 'whole',
  )
  const withExtra: Objective = (parameter) => {
    const { loss, report } = objective(parameter)
    return { loss, report: { ...report, ...extra(parameter) } }
  }
  return stepGraph(layoutFor(model, modules, gating), withExtra, { ...settings, clip: settings.clip ?? null }, accumulation, dtype)
}

/** Everything that step t is fed but the state. */
export const feedsOf = (
  model: Model,
  modules: ReadonlyArray<AdaptedModule>,
  noise: Noise,
  step: number,
  gatedStep: number,
  dtype: Scalar,
  size: number,
): Feeds => {
  const u = gateVector(modules, noise.gates)
  return {
    ...batchFeeds(model.config, toExamples(model.batch), model.batch.labels.length, dtype).feeds,
    ...dropoutFeeds(model.config, noise.dropout, dtype),
    ...scalarFeeds(model.control, model.settings, step, Math.max(1, gatedStep), dtype),
    u: floatFeed(u, [u.length], dtype),
    gradientSum: floatFeed(zeros(size, dtype), [size], dtype),
  }
}

/** The accelerated state before any step, at the reference's parameters. */
export const startOf = (model: Model, gating: Gating, dtype: Scalar): RunState => {
  const modules = modulesOf(model, model.parameters.adapters)
  const layout = layoutFor(model, modules, gating)
  return {
    step: 0,
    gatedStep: 0,
    gating,
    modules,
    initialDensity: null,
    retained: null,
    parameters: toVector(layout, model.parameters, dtype),
    firstMoment: zeros(layout.size, dtype),
    secondMoment: zeros(layout.size, dtype),
  }
}

export type Reached = {
  readonly reference: TrainingState
  readonly accelerated: RunState
  /** of the last step */
  readonly report: StepReport
  readonly results: Readonly<Record<string, NumericArray>>
}

/** Both derivations `steps` steps on. The noise is placed by the reference's log θ and given to both. */
export const advance = async (
  model: Model,
  target: Target,
  start: Pick<Reached, 'reference' | 'accelerated'>,
  gating: Gating,
  steps: number,
): Promise<Reached> => {
  const { modules } = start.accelerated
  const layout = layoutFor(model, modules, gating)
  const session = await openStep(model, modules, gating, 'whole', target)
  const referenceStep = trainingStep(model.config, model.settings, model.base)
  let [reached, report, results] = [start, undefined as StepReport | undefined, {} as Reached['results']]
  try {
    for (let i = 0; i < steps; i++) {
      const { reference, accelerated } = reached
      const noise = model.noiseAt(reference.adapters, reference.step)
      const [next, reported] = referenceStep(reference, model.batch, noise, { ...model.control, gating })
      const feeds = {
        ...feedsOf(model, modules, noise, next.step, next.gatedStep, target.dtype, layout.size),
        ...stateFeeds(accelerated, target.dtype),
      }
      results = await session.run(feeds)
      report = reported
      reached = {
        reference: next,
        accelerated: {
          ...accelerated,
          step: next.step,
          gatedStep: next.gatedStep,
          parameters: results['nextParameters'] as Vector,
          firstMoment: results['nextFirstMoment'] as Vector,
          secondMoment: results['nextSecondMoment'] as Vector,
        },
      }
    }
  } finally {
    await session.release()
  }
  if (report === undefined) throw new Error(`advance: expected at least one step, found ${steps}`)
  return { ...reached, report, results }
}

export const startOfBoth = (model: Model, gating: Gating, dtype: Scalar): Pick<Reached, 'reference' | 'accelerated'> => ({
  reference: startFrom(model.parameters),
  accelerated: startOf(model, gating, dtype),
})

/** Before T_start: log θ = 0 and λ = 0, as a run's gates will start. */
export const startOfRun = (model: Model, dtype: Scalar): Pick<Reached, 'reference' | 'accelerated'> => {
  const { reference, accelerated } = startOfBoth(model, 'open', dtype)
  const adapters = Object.fromEntries(
    Object.entries(reference.adapters).map(([name, adapter]) => [name, { ...adapter, logTheta: zerosLike(adapter.logTheta) }]),
  )
  return { reference: { ...reference, adapters, lambda: 0 }, accelerated }
}
