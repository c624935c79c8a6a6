/** Verification: models drawn from a seed, each compared in its values, gradients and ten steps; encoders in a whole run too. In int8 levels first. */
import { compareRun } from './compareRun.js'
import { compareStep } from './compareStep.js'
import { compareSteps } from './compareSteps.js'
import { drawDecoder, drawModel } from './drawModel.js'
import type { Row } from './rows.js'
import type { Target } from './target.js'
import { drawDecoderOptions, drawOptions } from './drawOptions.js'

export type VerifySettings = Target & {
  readonly seed: number
  /** encoders to draw, and as many decoders */
  readonly cases: number
}

/** Rows in the order they are computed. @throws if the device does not work here, or does not have the precision */
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
    const decoder = drawDecoder(drawDecoderOptions(seed, number))
    yield* await compareStep(decoder, target, 'sampled', number)
    yield* await compareSteps(decoder, target, 10, number)
  }
}
