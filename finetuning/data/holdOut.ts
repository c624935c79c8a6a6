/** A hold-out: the same part of the examples on every machine, in fixed proportions, with no text in both parts. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { digestOf } from '../../accelerated/storage/digest.js'
import { decimal, type Example } from './dataset.js'

/** Which texts of a stratum are held out. */
export type HoldOutPart = {
  /** Of all texts. */
  readonly share: number
  /** How many of a stratum's `size` distinct texts are held out. */
  readonly heldOf: (size: number) => number
  /** The first of them in the stratum's order. Default: 0 */
  readonly startOf?: (size: number) => number
}

export type HoldOutSettings<A> = HoldOutPart & {
  readonly seed: number
  /** Each stratum, such as a class, keeps its proportion. @param distinct the first example of each text */
  readonly strata: (distinct: ReadonlyArray<A>, share: number) => (example: A, index: number) => string | number
}

/**
 * Examples with the same text (and second text) form a group, in the stratum of its first example. Groups are sorted by SHA-256(seed, text), and
 * the first groups of each stratum (from `startOf` on) are held out. So the split depends on no random state, and not on the order of rows within a
 * stratum. Both parts keep the order of `examples`.
 */
export const holdOut =
  <A extends Pick<Example, 'text' | 'textPair'>>({ seed, strata, share, heldOf, startOf = () => 0 }: HoldOutSettings<A>) =>
  <B extends A>(examples: ReadonlyArray<B>): { readonly kept: ReadonlyArray<B>; readonly held: ReadonlyArray<B> } => {
    const keys = new Float64Array(examples.length)
    examples.forEach((example, index) => {
      keys[index] = textKey(seed, example)
    })
    const groups = distinct(keys)
    const groupOf = new Int32Array(keys.length)
    const firstOf = new Int32Array(groups.length).fill(-1)
    keys.forEach((key, index) => {
      const group = placeOf(key, groups)
      groupOf[index] = group
      if (firstOf[group] === -1) firstOf[group] = index
    })
    const isFirst = (_: unknown, index: number): boolean => firstOf[groupOf[index] ?? NaN] === index
    const firsts = examples.filter(isFirst)
    const stratumOf = strata(firsts, share)
    const stratumOfGroup = new Int32Array(groups.length)
    const found = new Map<string | number, { readonly number: number; size: number }>()
    groupOf.filter(isFirst).forEach((group, index) => {
      const name = stratumOf(firsts[index] as B, index)
      const stratum = found.get(name) ?? { number: found.size, size: 0 }
      found.set(name, stratum)
      stratumOfGroup[group] = stratum.number
      stratum.size++
    })
    const ranges = Array.from(found.values(), ({ size }) => ({ start: startOf(size), end: startOf(size) + heldOf(size), place: 0 }))
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

/** A share of a stratum, rounded; at least one if another remains, and never all. */
export const shareOf = (share: number): HoldOutPart => ({
  share,
  heldOf: (size) => (size < 2 ? 0 : Math.min(size - 1, Math.max(1, Math.round(size * share)))),
})

/** The share that is held out by default. */
export const tenth = shareOf(0.1)

/** One of `of` parts that are disjoint and together the whole stratum; `index` counts from 0. A stratum of one text is never held out. */
export type Fold = { readonly index: number; readonly of: number }

export const foldOf = ({ index, of }: Fold): HoldOutPart => {
  const startOf = (size: number, part = index): number => Math.floor((part * size) / of)
  return { share: 1 / of, startOf: (size) => startOf(size), heldOf: (size) => (size < 2 ? 0 : startOf(size, index + 1) - startOf(size)) }
}

/** The part to hold out that a user asks for. @throws InputError if it is no share, or if there is an evaluation file */
export const heldOutShare = ({
  evalShare,
  evalData,
}: {
  readonly evalShare?: number | string
  readonly evalData?: string
}): HoldOutPart => {
  if (evalShare === undefined) return tenth
  const share = decimal(String(evalShare))
  if (share === null || share <= 0 || share >= 1)
    throw inputError('--eval-share', 'a share between 0 and 1, such as 0.2', quoted(String(evalShare)))
  if (evalData !== undefined)
    throw inputError('--eval-share', 'no --eval-data, as a share of the file itself is held out', quoted(evalData))
  return shareOf(share)
}

/** The first 52 bits of the hash as a number: it sorts texts like their hashes, in an eighth of the memory. */
const textKey = (seed: number, { text, textPair }: Pick<Example, 'text' | 'textPair'>): number => {
  const digest = digestOf(JSON.stringify([seed, text, textPair ?? null]))
  return digest.subarray(0, 6).reduce((number, byte) => number * 256 + byte, 0) * 16 + ((digest[6] ?? 0) >> 4)
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
