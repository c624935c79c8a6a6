/** Verification: models drawn from a seed, each compared in its values, gradients, ten steps and a whole run. */
import { uniform } from '../../reference/index.js'
import { compareRun } from './compareRun.js'
import { compareStep } from './compareStep.js'
import { compareSteps } from './compareSteps.js'
import type { ModelOptions } from './model.js'
import { drawModel } from './model.js'
import type { Row } from './rows.js'
import type { Target } from './segment.js'

export type VerifySettings = Target & {
  readonly seed: number
  /** models to draw */
  readonly cases: number
}

/** Rows in the order they are computed. @throws where the device does not work here, or has no such dtype */
export async function* verify({ seed, cases, ...target }: VerifySettings): AsyncGenerator<Row, void> {
  for (let number = 0; number < cases; number++) {
    const options = drawOptions(seed, number)
    const model = drawModel(options)
    yield* await compareStep(model, target, 'sampled', number)
    yield* await compareSteps(model, target, 10, number)
    yield* await compareRun(
      model,
      target,
      {
        retain: number % 2 === 0 ? 'budget' : 'paper',
        gateAfter: (['soft', 'binary', 'kept'] as const)[number % 3] ?? 'soft',
        density: 0.5,
      },
      number,
    )
  }
}

/** Families, problems and activations take turns; sizes and settings are drawn. */
export const drawOptions = (seed: number, number: number): ModelOptions => {
  const [values] = uniform([14])((seed + Math.imul(number, 0x5bd1e995)) >>> 0)
  const from = <A>(place: number, choices: ReadonlyArray<A>): A => choices[Math.floor((values.data[place] ?? 0) * choices.length)] as A
  return {
    family: number % 2 === 0 ? 'roberta' : 'bert',
    problem: number % 4 < 2 ? 'classification' : 'regression',
    activation: number % 3 < 2 ? 'gelu' : 'gelu_tanh',
    layers: from(0, [1, 2]),
    heads: from(1, [1, 2, 3]),
    headSize: from(2, [4, 5, 6]),
    intermediateSize: from(3, [7, 9, 11]),
    rank: from(4, [1, 2, 3, 4]),
    lengths: Array.from({ length: from(5, [1, 2, 3, 4]) }, (_, example) => from(6 + example, [1, 2, 3, 4, 5])),
    classes: from(10, [2, 3, 4]),
    gates: 'mixed',
    tau: from(11, [1, 0.75]),
    beta: 0.1,
    clip: from(12, [null, 0.5]),
    control: from(13, ['ramp', 'paper'] as const),
    orthogonality: number % 2 === 0 ? 'mean' : 'sum',
    orthogonalityAfter: (['unit', 'folded', 'off'] as const)[number % 3] ?? 'unit',
    dropout: number % 2 === 0 ? 0.2 : 0.5,
    seed: (seed + number) >>> 0,
  }
}
