/** Many steps: the levels of all of them where the base is in int8, every parameter, both its moments, Θ, λ and the density afterwards. */
import { type ModelConfig, objective, orthogonalityOfA, orthogonalityOfB, type Gating } from '../../reference/index.js'
import { levelRows } from './int8Rounding.js'
import type { Model } from './drawModel.js'
import { type Part, type Row, compare } from './rows.js'
import { type LockstepResult, advance, initializeBoth, followStep } from './lockstep.js'
import { type Target, boundIn, findDtype, layoutFor, phaseIn, buildFeeds, openStep, buildInitialState } from './acceleratedSide.js'
import { namedNumbers, namedParts, gateVector } from './convert.js'
import { input } from '../../accelerated/graph/operators.js'
import { sampleGate } from '../../accelerated/methods/salora/hardConcrete.js'
import { zeros } from '../../accelerated/parameters/vectors.js'
import { collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'

/** The gradients are those of the graph that accumulates them, with nothing accumulated yet. */
export const compareStep = async (
  model: Model<ModelConfig>,
  target: Target,
  gating: Gating = 'sampled',
  number = 0,
): Promise<readonly Row[]> => {
  const sampled = gating === 'sampled'
  const dtype = findDtype(target)
  const state = buildInitialState(model, gating, dtype)
  const phase = phaseIn(state)
  const layout = layoutFor(model, phase)
  const noise = model.noiseAt(model.parameters.adapters, 0)

  const session = await openStep(model, phase, 'add', target, (parameter) => {
    const logTheta = sampled ? parameter('logTheta') : null
    return logTheta === null ? {} : { gates: sampleGate(model.settings)(logTheta, input('u', logTheta.shape, dtype)) }
  })
  const gradientSum = zeros(layout.size, dtype)
  const feeds = { ...buildFeeds(model, phase, noise, 1, 1, target.precision), ...stateFeeds(layout, state, dtype) }
  const results = await session.run(feeds, resultsInto(layout, { gradientSum })).finally(session.release)
  collect(layout, { gradientSum }, results)
  const followed = followStep(model, target, [results])
  const compute = objective(model.config, model.settings, model.base, followed)
  const expected = compute(model.parameters, model.batch, noise, { ...model.control, gating })

  const bound = boundIn(target)
  const value = compare('values', bound, number)
  const result = (name: string): readonly number[] => Array.from(results[name] ?? [], Number)
  const gradients = namedParts(layout, gradientSum)
  const sum = (numbers: readonly number[]): readonly number[] => [numbers.reduce((a, b) => a + b, 0)]
  const factors = Object.values(model.parameters.adapters)
  return [
    ...levelRows('values', bound, number, followed.levels()),
    value('loss', [expected.loss], result('loss')),
    value('taskLoss', [expected.taskLoss], result('taskLoss')),
    ...(model.settings.beta === 0
      ? []
      : [
          value('orthogonality', [expected.orthogonality], sum(result('orthogonality'))),
          value('‖AAᵀ − I‖²', sum(factors.map(({ A }) => orthogonalityOfA(A))), sum(result('orthogonality').slice(0, factors.length))),
          value('‖BᵀB − I‖²', sum(factors.map(({ B }) => orthogonalityOfB(B))), sum(result('orthogonality').slice(factors.length))),
        ]),
    ...(sampled
      ? [
          value('density', [expected.density], result('density')),
          value('gates', gateVector(phase.matrices, expected.gates), result('gates')),
        ]
      : []),
    ...[...namedNumbers(expected.gradients, sampled)].map(([name, numbers]) =>
      compare('gradients', bound, number)(`gradient of ${name}`, numbers, gradients.get(name) ?? []),
    ),
  ]
}

/** Rows of a state that both derivations reached. */
export const compareStates = (
  model: Model<ModelConfig>,
  target: Target,
  { reference, accelerated }: Pick<LockstepResult, 'reference' | 'accelerated'>,
  part: Part,
  number: number,
): readonly Row[] => {
  const phase = phaseIn(accelerated)
  const layout = layoutFor(model, phase)
  const row = compare(part, boundIn(target), number)
  const rows = (quantity: string, expected: typeof reference.m, vector: typeof accelerated.parameters): readonly Row[] => {
    const actual = namedParts(layout, vector)
    return [...namedNumbers(expected, phase.stage === 'gated')].map(([name, numbers]) =>
      row(`${quantity} of ${name}`, numbers, actual.get(name) ?? []),
    )
  }
  return [
    ...rows('parameter', reference, accelerated.parameters),
    ...rows('first moment', reference.m, accelerated.firstMoment),
    ...rows('second moment', reference.v, accelerated.secondMoment),
  ]
}

/** `steps` whole steps with sampled gates; values are those that the last step reports. */
export const compareSteps = async (model: Model<ModelConfig>, target: Target, steps = 10, number = 0): Promise<readonly Row[]> => {
  const reached = await advance(model, target, initializeBoth(model, 'sampled', findDtype(target)), 'sampled', steps)
  const { report, results } = reached
  const row = compare('steps', boundIn(target), number)
  const result = (name: string): readonly number[] => Array.from(results[name] ?? [], Number)
  return [
    ...levelRows('steps', boundIn(target), number, reached.levels),
    ...compareStates(model, target, reached, 'steps', number),
    row('loss', [report.loss], result('loss')),
    row('density', [report.density], result('density')),
    row('gradient norm', [report.gradientNorm], result('gradientNorm')),
  ]
}
