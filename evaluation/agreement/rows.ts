/** One compared quantity: where the two derivations differ most, by how much, and how much they may. */

/** The part of a comparison: values or gradients of one step, ten steps, a run from T_start past T_end, or its exported adapter. */
export type Part = 'values' | 'gradients' | 'steps' | 'run' | 'adapter'

export type Row = {
  readonly part: Part
  /** which of the drawn models, counted from 0 */
  readonly model: number
  /** such as `gradient of encoder.layer.0.output.dense.A` */
  readonly quantity: string
  /** how many numbers were compared */
  readonly size: number
  /** the place where they differ most, counted row by row, and both numbers there */
  readonly index: number
  readonly reference: number
  readonly accelerated: number
  /** largest |accelerated − reference| / largest |reference|; 0 where both are 0 throughout, Infinity where one is not a number or has another size */
  readonly difference: number
  readonly bound: number
  readonly holds: boolean
  /** for int8 levels: how many were rounded to the other side of a boundary than in the reference */
  readonly across?: number
}

export type Numbers = ArrayLike<number>

/** Compares two tensors of a quantity. */
export const compare =
  (part: Part, bound: number, model = 0) =>
  (quantity: string, reference: Numbers, accelerated: Numbers): Row => {
    const scale = largest(Array.from(reference, Math.abs))
    const errors = Array.from(reference, (x, i) => relative(Math.abs((accelerated[i] ?? NaN) - x), scale))
    const index = Math.max(0, errors.indexOf(largest(errors)))
    const difference = accelerated.length === reference.length ? largest(errors) : Infinity
    return {
      part,
      model,
      quantity,
      size: reference.length,
      index,
      reference: reference[index] ?? NaN,
      accelerated: accelerated[index] ?? NaN,
      difference,
      bound,
      holds: difference <= bound,
    }
  }

const largest = (numbers: readonly number[]): number => numbers.reduce((most, x) => Math.max(most, x), 0)

/** A share of 0 is 0 of nothing, and more than all of it otherwise. */
export const relative = (error: number, scale: number): number =>
  error === 0 ? 0 : Number.isNaN(error) || scale === 0 ? Infinity : error / scale

/** The row of each part and kind of quantity with the largest difference, in the order of their first occurrence. `gradient of head.weight` is of kind `gradient`. */
export const findWorst = (rows: readonly Row[]): readonly Row[] => {
  const kinds = [...new Set(rows.map(toKind))]
  return kinds.map((kind) =>
    rows.filter((row) => toKind(row) === kind).reduce((worst, row) => (row.difference > worst.difference ? row : worst)),
  )
}

export const toKind = ({ part, quantity }: Row): string => `${part}: ${quantity.replace(/ of (encoder|classifier|pooler|layers)\b.*/, '')}`

/** What both derivations must retain at T_end, or nothing after it can be compared. */
export const retainedRanks = 'retained ranks'

/** A line for each run that was compared only up to T_end. */
export const describeSkipped = (rows: readonly Row[]): readonly string[] =>
  rows
    .filter(({ quantity, holds }) => quantity === retainedRanks && !holds)
    .map(({ model }) => `reference and accelerated path retained different ranks in model ${model + 1}; the rest of its run was skipped`)

/** One line for a person. */
export const describeRow = ({ part, model, quantity, index, size, reference, accelerated, difference, bound, holds }: Row): string =>
  `${holds ? 'holds' : 'FAILS'} ${part} of model ${model}, ${quantity}: at ${index} of ${size} reference ${reference}, accelerated ${accelerated}; difference ${difference.toExponential(1)}, bound ${bound}`
