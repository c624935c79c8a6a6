/**
 * Verification on models drawn from a seed. SaLoRA: values, gradients, ten steps and, of encoders, a whole run. Every other method, and every loss:
 * the loss and the gradients of one step. In int8 and int4 levels first.
 */
import { canFollow, compareDerived, compareDifferences, isExact } from './compareMethods.js'
import { compareRun } from './compareRun.js'
import { compareStep } from './compareStep.js'
import { compareSteps } from './compareSteps.js'
import { drawDecoder, drawModel } from './drawModel.js'
import { decoderLosses, derivedMethods, methodsByDifferences, encoderLosses, type LossCase } from './methodCases.js'
import type { Row } from './rows.js'
import { drawDecoderOptions, drawOptions } from './drawOptions.js'
import type { Target } from './target.js'

export type VerifySettings = Pick<Target, 'device'> & {
  readonly precisions: readonly string[]
  readonly seed: number
  /** encoders to draw, and as many decoders */
  readonly cases: number
}

/** A comparison, and where it belongs: quantity by method, loss and precision. */
export type VerifiedRow = Row & { readonly method: string; readonly loss: string; readonly precision: string }

/** Rows in the order they are computed. @throws if the device does not work here, or does not have a precision */
export async function* verify({ seed, cases, device, precisions }: VerifySettings): AsyncGenerator<VerifiedRow, void> {
  for (const precision of precisions)
    for (let number = 0; number < cases; number++)
      for await (const { method, loss, rows } of compareAll(seed, number, { device, precision }))
        yield* rows.map((row) => ({ ...row, method, loss, precision }))
}

type Compared = Pick<VerifiedRow, 'method' | 'loss'> & { readonly rows: readonly Row[] }

/** All comparisons of one encoder and one decoder. */
async function* compareAll(seed: number, number: number, target: Target): AsyncGenerator<Compared> {
  yield* compareSalora(seed, number, target)
  for (const { method, loss, isDerived } of casesOf(seed, number)) {
    if (isDerived ? !canFollow(method, target.precision) : !isExact(target.precision)) continue
    const rows = isDerived ? compareDerived(loss, method, target, number) : compareDifferences(loss, method, target, number)
    yield { method: method.name, loss: loss.name, rows: await rows }
  }
}

async function* compareSalora(seed: number, number: number, target: Target): AsyncGenerator<Compared> {
  const model = drawModel(drawOptions(seed, number))
  const rules = {
    retain: number % 2 === 0 ? 'budget' : 'paper',
    gateAfter: (['soft', 'binary', 'kept'] as const)[number % 3] ?? 'soft',
    density: 0.5,
  } as const
  const label = { method: 'salora', loss: model.config.taskType }
  yield { ...label, rows: await compareStep(model, target, 'sampled', number) }
  yield { ...label, rows: await compareSteps(model, target, 10, number) }
  yield { ...label, rows: await compareRun(model, target, rules, number) }
  const decoder = drawDecoder(drawDecoderOptions(seed, number))
  yield { method: 'salora', loss: 'text', rows: await compareStep(decoder, target, 'sampled', number) }
  yield { method: 'salora', loss: 'text', rows: await compareSteps(decoder, target, 10, number) }
}

type MethodAndLoss = { readonly method: (typeof derivedMethods)[number]; readonly loss: LossCase; readonly isDerived: boolean }

/** Each method with one loss, and LoRA with each: gradients of a method do not depend on the loss above them. */
const casesOf = (seed: number, number: number): readonly MethodAndLoss[] => {
  const options = drawOptions(seed, number)
  const plain = { dropout: 0, clip: null, lengths: [3, 2, 4, 3], classes: 3, rank: 2, heads: 2, headSize: 4, virtualTokens: 2 } as const
  const ofEncoder = encoderLosses((taskType) => drawModel({ ...options, ...plain, taskType }))
  const decoder = drawDecoderOptions(seed, number)
  const ofDecoder = decoderLosses(drawDecoder({ ...decoder, lengths: [3, 2, 4, 3], rank: 2 }))
  const [classification] = ofEncoder
  const [text] = ofDecoder
  const [lora] = derivedMethods
  if (classification === undefined || text === undefined || lora === undefined) return []
  const full = derivedMethods.filter(({ settings }) => settings.method === 'full')
  return [
    ...derivedMethods.map((method) => ({ method, loss: classification, isDerived: true })),
    ...[...ofEncoder.slice(1), ...ofDecoder].map((loss) => ({ method: lora, loss, isDerived: true })),
    ...full.map((method) => ({ method, loss: text, isDerived: true })),
    ...methodsByDifferences.map((method) => ({ method, loss: classification, isDerived: false })),
  ]
}
