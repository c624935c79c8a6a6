/** Many steps: the levels of all of them where the base is in int8, every parameter, both its moments, Θ, λ and the density afterwards. */
import type { ModelConfig } from '../../reference/index.js'
import { levelRows } from './int8Rounding.js'
import type { Model } from './model.js'
import { type Part, type Row, compare } from './rows.js'
import { type LockstepResult, advance, startOfBoth } from './lockstep.js'
import { type Target, boundIn, dtypeOf } from './target.js'
import { layoutFor, phaseIn } from './acceleratedSide.js'
import { namedNumbers, namedParts } from './convert.js'

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
  const reached = await advance(model, target, startOfBoth(model, 'sampled', dtypeOf(target)), 'sampled', steps)
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
