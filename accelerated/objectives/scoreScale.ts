/** The scale of a regression's scores. Training sees scores of mean 0 and deviation 1, and files have the head in the scores' unit. */
import type { Head } from '../models/architecture.js'
import { modelInitial } from '../parameters/initialization.js'
import type { Initial } from '../parameters/layout.js'

/** Training sees (score − mean) / deviation. */
export type ScoreScale = { readonly mean: number; readonly deviation: number }

/** A head's numbers by tensor. */
type HeadNumbers = ReadonlyMap<string, ArrayLike<number>>

/** Mean and standard deviation (of the population) of at least one score; the deviation of equal scores is 1. */
export const scoreScaleOf = (scores: ReadonlyArray<number>): ScoreScale => {
  const largest = scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0) || 1 // squares of large scores would overflow
  const meanOf = (xs: ReadonlyArray<number>): number => xs.reduce((sum, x) => sum + x / xs.length, 0)
  const shares = scores.map((score) => score / largest)
  const mean = meanOf(shares)
  const deviation = Math.sqrt(meanOf(shares.map((share) => (share - mean) ** 2)))
  return { mean: largest * mean, deviation: deviation > leastDeviation ? largest * deviation : 1 }
}

/** Of scores up to 1: what rounding leaves of equal scores is below it. */
const leastDeviation = 1e-12

/** A scale as a head can have it in a file: without a bias, it cannot add a mean. So the deviation is from 0 then. */
export const representable = ({ mean, deviation }: ScoreScale, head: Pick<Head, 'tensors'>, outputs: ReadonlyArray<string>): ScoreScale =>
  outputs.some((name) => head.tensors.get(name)?.length === 1) ? { mean, deviation } : { mean: 0, deviation: Math.hypot(mean, deviation) }

/** σ z + μ, and (y − μ) / σ */
export const toUnit = ({ mean, deviation }: ScoreScale, scaled: number): number => deviation * scaled + mean
export const toScaled = ({ mean, deviation }: ScoreScale, score: number): number => (score - mean) / deviation

/** The head of files is σ W and σ b + μ for the trained W and b, so both answer the same score. */
export type HeadInFiles = { readonly write: (trained: HeadNumbers) => HeadNumbers; readonly read: (inFile: HeadNumbers) => HeadNumbers }

export const headInFiles = (scale: ScoreScale, head: Pick<Head, 'tensors'>, outputs: ReadonlyArray<string>): HeadInFiles => {
  const isBias = (name: string): boolean => head.tensors.get(name)?.length === 1
  const mapped =
    (ofBias: (x: number) => number, ofMatrix: (x: number) => number) =>
    (numbers: HeadNumbers): HeadNumbers =>
      new Map(
        [...numbers].map(([name, data]) => [
          name,
          outputs.includes(name) ? Float64Array.from(data, isBias(name) ? ofBias : ofMatrix) : data,
        ]),
      )
  return {
    write: mapped(
      (b) => toUnit(scale, b),
      (w) => scale.deviation * w,
    ),
    read: mapped(
      (b) => toScaled(scale, b),
      (w) => w / scale.deviation,
    ),
  }
}

/** A new head begins as ever; the checkpoint's own has the unit of the scores. */
export const scaledInitial = ({ read }: HeadInFiles): Initial => ({
  ...modelInitial,
  fromCheckpoint: async ({ name, shape }, checkpoint) => {
    const stored = await checkpoint(name, shape)
    return stored === undefined ? undefined : read(new Map([[name, stored]])).get(name)
  },
})
