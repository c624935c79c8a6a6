/**
 * Verification on models drawn from a seed. SaLoRA: values, gradients, ten steps and, of encoders, a whole run. Every other method, and every loss:
 * the loss and the gradients of one step. In int8 and int4 levels first.
 */
import { canFollow, compareDerived, compareDifferences, isExact } from './compareMethods.js'
import { compareRun } from './compareRun.js'
import { compareStep, compareSteps } from './compareSteps.js'
import { drawDecoder, drawModel, type DecoderOptions, type ModelOptions } from './drawModel.js'
import { decoderLosses, derivedMethods, methodsByDifferences, encoderLosses, noisyLora, type LossCase } from './methodCases.js'
import type { Row } from './rows.js'
import type { Target } from './acceleratedSide.js'
import { uniform } from '../../reference/index.js'

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

async function* compareAll(seed: number, number: number, target: Target): AsyncGenerator<Compared> {
  yield* compareSalora(seed, number, target)
  for (const { method, loss, isDerived } of drawCases(seed, number)) {
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

/** Each method with one loss, those without increments also with text, and LoRA with each: gradients of a method do not depend on the loss above them. */
const drawCases = (seed: number, number: number): readonly MethodAndLoss[] => {
  const options = drawOptions(seed, number)
  const plain = { dropout: 0, clip: null, lengths: [3, 2, 4, 3], classes: 3, rank: 2, heads: 2, headSize: 4, virtualTokens: 2 } as const
  const ofEncoder = encoderLosses((taskType) => drawModel({ ...options, ...plain, taskType }))
  const decoder = drawDecoderOptions(seed, number)
  const ofDecoder = decoderLosses(drawDecoder({ ...decoder, lengths: [3, 2, 4, 3], rank: 2 }))
  const [classification] = ofEncoder
  const [text] = ofDecoder
  const [lora] = derivedMethods
  if (classification === undefined || text === undefined || lora === undefined) return []
  const others = derivedMethods.filter(({ settings }) => settings.method === 'full' || settings.method === 'ia3')
  return [
    ...derivedMethods.map((method) => ({ method, loss: classification, isDerived: true })),
    ...[...ofEncoder.slice(1), ...ofDecoder].map((loss) => ({ method: lora, loss, isDerived: true })),
    ...[...others, noisyLora].map((method) => ({ method, loss: text, isDerived: true })),
    ...methodsByDifferences.map((method) => ({ method, loss: classification, isDerived: false })),
  ]
}

/** One of these choices, for each place of draws that a case has. */
const chooser = (seed: number, number: number, places: number) => {
  const [values] = uniform([places])((seed + Math.imul(number, 0x5bd1e995)) >>> 0)
  return <A>(place: number, choices: readonly A[]): A => choices[Math.floor((values.data[place] ?? 0) * choices.length)] as A
}

/** By the steps of Θ and λ: Adam's (`adam` has the step of `ramp`), plain ones, and none of a constant λ. */
const controls = ['ramp', 'descent', 'constant'] as const

/** Scalings, tied and untied outputs and windows take turns; sizes and settings are drawn. */
export const drawDecoderOptions = (seed: number, number: number): DecoderOptions => {
  const from = chooser(seed + 1, number, 16)
  const keyValueHeads = from(0, [1, 2])
  const scalings = [null, { kind: 'linear', factor: 4 }, llama3] as const
  return {
    layers: from(1, [1, 2]),
    keyValueHeads,
    heads: keyValueHeads * from(2, [1, 2, 3]),
    headSize: from(3, [4, 6]), // in one head of two the stream is one number wide, and a norm of one number has no gradient
    intermediateSize: from(4, [5, 7, 11]),
    rank: from(5, [1, 2, 3]),
    lengths: Array.from({ length: from(6, [1, 2, 3]) }, (_, example) => from(7 + example, [2, 3, 4, 5])),
    gates: 'mixed',
    tau: from(10, [1, 0.75]),
    beta: 0.1,
    clip: from(11, [null, 0.5]),
    loraPlusRatio: number % 3 === 1 ? 4 : 1,
    control: controls[number % 3] ?? 'ramp',
    orthogonality: number % 2 === 0 ? 'mean' : 'sum',
    orthogonalityAfter: 'unit',
    window: number % 2 === 0 ? null : 2,
    biases: { queryKeyValue: from(13, [false, true]), attentionOutput: from(14, [false, true]), feedForward: from(15, [false, true]) },
    gemma: number % 5 > 2,
    queryKeyNorms: number % 4 > 1,
    tied: number % 2 === 0,
    rotaryScaling: scalings[number % 3] ?? null,
    seed: (seed + number) >>> 0,
  }
}

const llama3 = { kind: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 64 } as const

/** Families, problems and activations take turns; sizes and settings are drawn. */
export const drawOptions = (seed: number, number: number): ModelOptions => {
  const from = chooser(seed, number, 14)
  return {
    family: number % 2 === 0 ? 'roberta' : 'bert',
    taskType: number % 4 < 2 ? 'classification' : 'regression',
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
    loraPlusRatio: number % 3 === 1 ? 4 : 1,
    control: controls[(number + 1) % 3] ?? 'ramp',
    orthogonality: number % 2 === 0 ? 'mean' : 'sum',
    orthogonalityAfter: (['unit', 'folded', 'off'] as const)[number % 3] ?? 'unit',
    dropout: number % 2 === 0 ? 0.2 : 0.5,
    seed: (seed + number) >>> 0,
  }
}
