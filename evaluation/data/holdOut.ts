/** A hold-out: part of the examples set aside, the same part on every machine, in fixed proportions, no text on both sides. */
import { createHash } from 'node:crypto'
import type { Example, ProblemType } from './dataset.js'

export type HoldOutSettings<A> = {
  readonly seed: number
  /** Proportions are kept within each stratum: the class, say. */
  readonly stratumOf: (example: A, index: number) => string | number
  /** How many of a stratum's `size` distinct texts are set aside. */
  readonly heldOf: (size: number) => number
}

/**
 * Examples of the same text (and second text) form one group, in the stratum of its first example; groups are put in order
 * of SHA-256(seed, text), and of each stratum the first ones are set aside. Hence the split depends neither on a generator's
 * state nor on the order of the rows within a stratum. Both parts keep the order of `examples`.
 */
export const holdOut =
  <A extends Pick<Example, 'text' | 'textPair'>>({ seed, stratumOf, heldOf }: HoldOutSettings<A>) =>
  (examples: ReadonlyArray<A>): { readonly kept: ReadonlyArray<A>; readonly held: ReadonlyArray<A> } => {
    const keys = Float64Array.from(examples, textKey(seed))
    const strata = new Map<string | number, number[]>()
    const grouped = new Set<number>()
    keys.forEach((key, index) => {
      if (grouped.has(key)) return
      grouped.add(key)
      const stratum = stratumOf(examples[index] as A, index)
      const own = strata.get(stratum)
      if (own === undefined) strata.set(stratum, [key])
      else own.push(key)
    })
    const held = new Set<number>()
    for (const stratum of strata.values())
      for (const key of Float64Array.from(stratum).sort().subarray(0, heldOf(stratum.length))) held.add(key)
    const isHeld = (_: A, index: number): boolean => held.has(keys[index] ?? NaN)
    return { kept: examples.filter((example, index) => !isHeld(example, index)), held: examples.filter(isHeld) }
  }

/** A tenth of a stratum, to the nearest whole number, but one at least if that leaves one. */
export const tenth = (size: number): number => (size < 2 ? 0 : Math.max(1, Math.round(size / 10)))

/** The stratum of an example: its class; or, of a score, the tenth of the sorted scores it falls into. */
export const labelStrata = (problem: ProblemType, examples: ReadonlyArray<Example>): ((example: Example, index: number) => number) => {
  if (problem === 'classification') return ({ label }) => label
  if (problem === 'multi-label') return () => 0 // combinations of labels can each be the only one
  const order = examples.map((_, index) => index).sort((i, j) => (examples[i]?.label ?? 0) - (examples[j]?.label ?? 0) || i - j)
  const tenths = new Map(order.map((index, rank) => [index, Math.floor((10 * rank) / examples.length)]))
  return (_, index) => tenths.get(index) ?? 0
}

/** The first 52 bits of the hash as a number: they put texts in the order of their hashes, in an eighth of the memory. */
const textKey =
  (seed: number) =>
  ({ text, textPair }: Pick<Example, 'text' | 'textPair'>): number => {
    const hash = createHash('sha256')
      .update(JSON.stringify([seed, text, textPair ?? null]))
      .digest()
    return hash.readUIntBE(0, 6) * 16 + ((hash[6] ?? 0) >> 4)
  }
