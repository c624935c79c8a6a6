/** A hold-out: part of the examples set aside, the same part on every machine, in fixed proportions, no text on both sides. */
import { hash } from 'node:crypto'
import type { Example } from './dataset.js'

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
  <B extends A>(examples: ReadonlyArray<B>): { readonly kept: ReadonlyArray<B>; readonly held: ReadonlyArray<B> } => {
    const keys = new Float64Array(examples.length)
    examples.forEach((example, index) => {
      keys[index] = textKey(seed, example)
    })
    const groups = distinct(keys)
    const groupOf = new Int32Array(keys.length)
    keys.forEach((key, index) => {
      groupOf[index] = placeOf(key, groups)
    })
    const stratumOfGroup = new Int32Array(groups.length).fill(-1)
    const strata = new Map<string | number, { readonly number: number; size: number }>()
    examples.forEach((example, index) => {
      const group = groupOf[index] ?? NaN
      if (stratumOfGroup[group] !== -1) return
      const name = stratumOf(example, index)
      const stratum = strata.get(name) ?? { number: strata.size, size: 0 }
      strata.set(name, stratum)
      stratumOfGroup[group] = stratum.number
      stratum.size++
    })
    const wanted = Array.from(strata.values(), ({ size }) => heldOf(size))
    const held = new Uint8Array(groups.length)
    stratumOfGroup.forEach((stratum, group) => {
      const left = wanted[stratum] ?? 0
      held[group] = left > 0 ? 1 : 0
      wanted[stratum] = left - 1
    })
    const isHeld = (_: B, index: number): boolean => held[groupOf[index] ?? NaN] === 1
    return { kept: examples.filter((example, index) => !isHeld(example, index)), held: examples.filter(isHeld) }
  }

/** A tenth of a stratum, to the nearest whole number, but one at least if that leaves one. */
export const tenth = (size: number): number => (size < 2 ? 0 : Math.max(1, Math.round(size / 10)))

/** The first 52 bits of the hash as a number: they put texts in the order of their hashes, in an eighth of the memory. */
const textKey = (seed: number, { text, textPair }: Pick<Example, 'text' | 'textPair'>): number => {
  const digest = hash('sha256', JSON.stringify([seed, text, textPair ?? null]), 'buffer')
  return digest.readUIntBE(0, 6) * 16 + ((digest[6] ?? 0) >> 4)
}

/** Each of the keys once, ascending. */
const distinct = (keys: Float64Array): Float64Array => {
  const sorted = keys.slice().sort()
  let count = 0
  for (const key of sorted) if (count === 0 || key !== sorted[count - 1]) sorted[count++] = key
  return sorted.subarray(0, count)
}

/** Where `key` stands among ascending `keys`, of which it is one. */
const placeOf = (key: number, keys: Float64Array): number => {
  let [low, high] = [0, keys.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] ?? 0) < key) low = middle + 1
    else high = middle
  }
  return low
}
