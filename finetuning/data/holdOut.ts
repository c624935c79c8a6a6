/** A hold-out: the same part of the examples on every machine, in fixed proportions, with no text in both parts. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { textSha256 } from '../../accelerated/storage/native.js'
import { decimal, type Example } from './dataset.js'

/** Which texts of a stratum are held out. */
export type HoldOutPart = {
  /** Of all texts. */
  readonly share: number
  /** Whether a text is held out: by its place among the `size` texts of its stratum, and the number of texts in the strata before. */
  readonly isHeld: (place: number, size: number, before: number) => boolean
}

export type HoldOutSettings<A> = HoldOutPart & {
  readonly seed: number
  /** Each stratum, such as a class, keeps its proportion. @param distinct the first example of each text */
  readonly strata: (distinct: readonly A[], share: number) => (example: A, index: number) => string | number
  /** Told the share of the examples that have a digest, which takes most of the time. */
  readonly onShare?: ((share: number) => void) | undefined
}

/** Examples between two reports of their share. */
const reported = 1000

/**
 * Examples with the same text (and second text) form a group, in the stratum of its first example. Groups are sorted by SHA-256(seed, text), which
 * gives them their places in their strata, and strata are in the order of their first groups. So the split depends on no random state, and not on the
 * order of rows within a stratum. A stratum of one text is never held out. Both parts keep the order of `examples`.
 */
export const holdOut =
  <A extends Pick<Example, 'text' | 'textPair'>>({ seed, strata, share, isHeld, onShare }: HoldOutSettings<A>) =>
  <B extends A>(examples: readonly B[]): { readonly kept: readonly B[]; readonly held: readonly B[] } => {
    const keys = new Float64Array(examples.length)
    examples.forEach((example, index) => {
      if (index % reported === 0) onShare?.(index / examples.length)
      keys[index] = textKey(seed, example)
    })
    const groups = distinct(keys)
    const groupIndices = new Int32Array(keys.length)
    const firstRows = new Int32Array(groups.length).fill(-1)
    keys.forEach((key, index) => {
      const group = findKey(key, groups)
      groupIndices[index] = group
      if (firstRows[group] === -1) firstRows[group] = index
    })
    const isFirst = (_: unknown, index: number): boolean => firstRows[groupIndices[index] ?? NaN] === index
    const firsts = examples.filter(isFirst)
    const findStratum = strata(firsts, share)
    const stratumOfGroup = new Array<Stratum>(groups.length)
    const found = new Map<string | number, Stratum>()
    groupIndices.filter(isFirst).forEach((group, index) => {
      const name = findStratum(firsts[index] as B, index)
      const stratum = found.get(name) ?? { size: 0, place: 0, before: 0 }
      found.set(name, stratum)
      stratumOfGroup[group] = stratum
      stratum.size++
    })
    const held = new Uint8Array(groups.length)
    let before = 0
    stratumOfGroup.forEach((stratum, group) => {
      if (stratum.size < 2) return
      if (stratum.place === 0) {
        stratum.before = before
        before += stratum.size
      }
      held[group] = isHeld(stratum.place++, stratum.size, stratum.before) ? 1 : 0
    })
    const isIn = (part: number) => (_: B, index: number) => held[groupIndices[index] ?? NaN] === part
    return { kept: examples.filter(isIn(0)), held: examples.filter(isIn(1)) }
  }

type Stratum = { size: number; place: number; before: number }

/** A share of a stratum, rounded; at least one if another remains, and never all. */
export const holdOutShare = (share: number): HoldOutPart => ({
  share,
  isHeld: (place, size) => place < Math.min(size - 1, Math.max(1, Math.round(size * share))),
})

/** The share that is held out by default. */
export const tenth = holdOutShare(0.1)

/** One of `of` parts that are disjoint and together hold all texts; `index` counts from 0. Sizes differ by one at most, also within a stratum. */
export type Fold = { readonly index: number; readonly of: number }

export const holdOutFold = ({ index, of }: Fold): HoldOutPart => ({
  share: 1 / of,
  isHeld: (place, _, before) => (before + place) % of === index,
})

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
  if (share === null || share < 0 || share >= 1)
    throw inputError(option('evalShare'), 'a share below 1, such as 0.2, or 0 to train on all rows', quoted(String(evalShare)))
  if (evalData !== undefined)
    throw inputError(option('evalShare'), words`no ${option('evalData')}, as a share of the file itself is held out`, quoted(evalData))
  return share === 0 ? { share, isHeld: () => false } : holdOutShare(share)
}

/** The first 52 bits of the hash as a number: it sorts texts like their hashes, in an eighth of the memory. */
const textKey = (seed: number, { text, textPair }: Pick<Example, 'text' | 'textPair'>): number => {
  const digest = textSha256(JSON.stringify([seed, text, textPair ?? null]))
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
const findKey = (key: number, keys: Float64Array): number => {
  let [low, high] = [0, keys.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] ?? 0) < key) low = middle + 1
    else high = middle
  }
  return low
}
