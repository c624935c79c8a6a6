/** A hold-out: the same part of the examples on every machine, in fixed proportions, with no text in both parts. */
import { hash } from 'node:crypto'
import type { Example } from './dataset.js'

export type HoldOutSettings<A> = {
  readonly seed: number
  /** Each stratum, such as a class, keeps its proportion. */
  readonly stratumOf: (example: A, index: number) => string | number
  /** How many of a stratum's `size` distinct texts are held out. */
  readonly heldOf: (size: number) => number
  /** The first of them in the stratum's order. Default: 0 */
  readonly startOf?: (size: number) => number
}

/**
 * Examples with the same text (and second text) form a group, in the stratum of its first example. Groups are sorted by SHA-256(seed, text), and
 * the first groups of each stratum (from `startOf` on) are held out. So the split depends on no random state, and not on the order of rows within a stratum. Both
 * parts keep the order of `examples`.
 */
export const holdOut =
  <A extends Pick<Example, 'text' | 'textPair'>>({ seed, stratumOf, heldOf, startOf = () => 0 }: HoldOutSettings<A>) =>
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
    const ranges = Array.from(strata.values(), ({ size }) => ({ start: startOf(size), end: startOf(size) + heldOf(size), place: 0 }))
    const held = new Uint8Array(groups.length)
    stratumOfGroup.forEach((stratum, group) => {
      const range = ranges[stratum]
      if (range === undefined) return
      held[group] = range.place >= range.start && range.place < range.end ? 1 : 0
      range.place++
    })
    const isHeld = (_: B, index: number): boolean => held[groupOf[index] ?? NaN] === 1
    return { kept: examples.filter((example, index) => !isHeld(example, index)), held: examples.filter(isHeld) }
  }

/** A tenth of a stratum, rounded; at least one if another remains. */
export const tenth = (size: number): number => (size < 2 ? 0 : Math.max(1, Math.round(size / 10)))

/** One of `of` parts that are disjoint and together the whole stratum; `index` counts from 0. A stratum of one text is never held out. */
export type Fold = { readonly index: number; readonly of: number }

export const foldOf = ({ index, of }: Fold): Pick<HoldOutSettings<never>, 'heldOf' | 'startOf'> => {
  const startOf = (size: number, part = index): number => Math.floor((part * size) / of)
  return { startOf: (size) => startOf(size), heldOf: (size) => (size < 2 ? 0 : startOf(size, index + 1) - startOf(size)) }
}

/** The first 52 bits of the hash as a number: it sorts texts like their hashes, in an eighth of the memory. */
const textKey = (seed: number, { text, textPair }: Pick<Example, 'text' | 'textPair'>): number => {
  const digest = hash('sha256', JSON.stringify([seed, text, textPair ?? null]), 'buffer')
  return digest.readUIntBE(0, 6) * 16 + ((digest[6] ?? 0) >> 4)
}

/** The distinct keys, ascending. */
const distinct = (keys: Float64Array): Float64Array => {
  const sorted = keys.slice().sort()
  let count = 0
  for (const key of sorted) if (count === 0 || key !== sorted[count - 1]) sorted[count++] = key
  return sorted.subarray(0, count)
}

/** The index of `key` in ascending `keys`, by binary search. */
const placeOf = (key: number, keys: Float64Array): number => {
  let [low, high] = [0, keys.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] ?? 0) < key) low = middle + 1
    else high = middle
  }
  return low
}
