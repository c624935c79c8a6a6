/** The options of the models that `verify` draws: sizes and settings from a seed, kinds in turn. */
import { uniform } from '../../reference/index.js'
import type { DecoderOptions, ModelOptions } from './model.js'

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
