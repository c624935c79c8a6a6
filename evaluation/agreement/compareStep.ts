/** One step: the objective's values and the gradient of every trained tensor. */
import { input } from '../../accelerated/graph/operators.js'
import { sampleGate } from '../../accelerated/methods/salora/hardConcrete.js'
import { zeros } from '../../accelerated/parameters/vectors.js'
import { collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { objective, orthogonalityOfA, orthogonalityOfB, type Gating, type ModelConfig } from '../../reference/index.js'
import { levelRows } from './int8Rounding.js'
import type { Model } from './model.js'
import { type Row, compare } from './rows.js'
import { type Target, boundIn, dtypeOf } from './target.js'
import { followStep } from './lockstep.js'
import { feedsOf, layoutFor, openStep, phaseIn, startOf } from './acceleratedSide.js'
import { gateVector, namedNumbers, namedParts } from './convert.js'

/** The gradients are those of the graph that accumulates them, with nothing accumulated yet. */
export const compareStep = async (
  model: Model<ModelConfig>,
  target: Target,
  gating: Gating = 'sampled',
  number = 0,
): Promise<readonly Row[]> => {
  const sampled = gating === 'sampled'
  const dtype = dtypeOf(target)
  const state = startOf(model, gating, dtype)
  const phase = phaseIn(state)
  const layout = layoutFor(model, phase)
  const noise = model.noiseAt(model.parameters.adapters, 0)

  const session = await openStep(model, phase, 'add', target, (parameter) => {
    const logTheta = sampled ? parameter('logTheta') : null
    return logTheta === null ? {} : { gates: sampleGate(model.settings)(logTheta, input('u', logTheta.shape, dtype)) }
  })
  const gradientSum = zeros(layout.size, dtype)
  const feeds = { ...feedsOf(model, phase, noise, 1, 1, target.precision), ...stateFeeds(layout, state, dtype) }
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
