/** The strength of a linear probe, chosen by cross-validation: the rows that score a strength never helped to fit it. */
import { fitLinearModel, meanLoss, type LinearModel, type ProbeData, type Targets } from './linearModel.js'

/** C of the probe, from strong regularization to weak. */
export const strengths: readonly number[] = [0.1, 1, 10, 100, 1_000]

const parts = 5
/** Rows above which one part is held out instead of each in turn: its loss is precise enough, and fits take a second each. */
const mostCrossValidated = 500

/** A probe with the strength that it was fitted with, and the mean loss of held-out rows; null where there are too few rows to hold any out. */
export type ChosenProbe = { readonly model: LinearModel; readonly strength: number; readonly heldOutLoss: number | null }

/** The probe of all rows, with the strength of the least held-out loss. Of equal strengths, the first. */
export const chooseProbe = (data: ProbeData): ChosenProbe => {
  const folds = foldsOf(data.targets, data.rows.length)
  const used = data.rows.length > mostCrossValidated ? folds.slice(0, 1) : folds
  const losses = new Float64Array(strengths.length)
  for (const held of used) {
    const isHeld = new Set(held)
    const others = data.rows.map((_, row) => row).filter((row) => !isHeld.has(row))
    let start: LinearModel | undefined
    strengths.forEach((strength, i) => {
      start = fitLinearModel(data, strength, others, start)
      losses[i] = (losses[i] ?? 0) + meanLoss(start, data, held) / used.length
    })
  }
  const best = used.length === 0 ? strengths.indexOf(1) : losses.indexOf(Math.min(...losses))
  const strength = strengths[best] ?? 1
  return { model: fitLinearModel(data, strength), strength, heldOutLoss: used.length === 0 ? null : (losses[best] ?? null) }
}

/** Rows in parts, with each class spread over them in the order of the rows; scores by size. Empty where a part would have none. */
const foldsOf = ({ kind, labels }: Targets, count: number): readonly (readonly number[])[] => {
  const keyOf = (row: number): number => (kind === 'multi' ? (labels[row]?.[0] ?? -1) : (labels[row] ?? 0))
  const sorted = Array.from({ length: count }, (_, row) => row).sort((a, b) => keyOf(a) - keyOf(b) || a - b)
  const folds = Array.from({ length: parts }, (_, part) => sorted.filter((__, i) => i % parts === part))
  return folds.some((fold) => fold.length === 0) ? [] : folds
}
