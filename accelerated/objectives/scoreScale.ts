/** The scale of a regression's scores. Training sees scores of mean 0 and deviation 1, and files have the head in the scores' unit. */
import { mean, standardDeviation } from 'simple-statistics'
import type { Head } from '../models/architecture.js'
import { modelInitial } from '../parameters/initialization.js'
import type { Initial } from '../parameters/layout.js'

/** Training sees (score − mean) / deviation. */
export type ScoreScale = { readonly mean: number; readonly deviation: number }

/** A head's numbers by tensor. */
type HeadNumbers = ReadonlyMap<string, ArrayLike<number>>

/** Mean and standard deviation (of the population) of at least one score; the deviation of equal scores is 1. */
export const scoreScaleOf = (scores: readonly number[]): ScoreScale => {
  const [center, deviation] = [mean([...scores]), standardDeviation([...scores])]
  return { mean: center, deviation: deviation > roundingError * Math.abs(center) ? deviation : 1 }
}

/** What rounding may leave of the deviation of equal scores, as a share of them. */
const roundingError = 1e-12

/** A scale as a head can have it in a file: without a bias, it cannot add a mean. So the deviation is from 0 then. */
export const representable = ({ mean, deviation }: ScoreScale, head: Pick<Head, 'tensors'>, outputs: readonly string[]): ScoreScale =>
  outputs.some((name) => head.tensors.get(name)?.length === 1) ? { mean, deviation } : { mean: 0, deviation: Math.hypot(mean, deviation) }

/** σ z + μ, and (y − μ) / σ */
export const toUnit = ({ mean, deviation }: ScoreScale, scaled: number): number => deviation * scaled + mean
export const toScaled = ({ mean, deviation }: ScoreScale, score: number): number => (score - mean) / deviation

/** The head of files is σ W and σ b + μ for the trained W and b, so both answer the same score. */
export type HeadInFiles = { readonly write: (trained: HeadNumbers) => HeadNumbers; readonly read: (inFile: HeadNumbers) => HeadNumbers }

export const headInFiles = (scale: ScoreScale, head: Pick<Head, 'tensors'>, outputs: readonly string[]): HeadInFiles => {
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
