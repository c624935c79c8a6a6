/** Down-sampling of curves. Equal buckets of steps keep their mean, minimum and maximum, so no peak is lost. */
import { group, max, mean, min } from 'd3-array'

export type Bucket = {
  /** first and last step with a value */
  readonly from: number
  readonly to: number
  /** values of one run */
  readonly count: number
  readonly mean: number
  readonly low: number
  readonly high: number
}

export type DownSampler = {
  readonly add: (step: number, value: number) => void
  /** ordered by step */
  readonly buckets: () => readonly Bucket[]
  /** steps in a bucket: the first one has steps 0 to width − 1 */
  readonly width: () => number
}

type OpenBucket = { -readonly [Name in keyof Bucket]: Bucket[Name] }

/** Adds to a bucket in place: a run may have a million values. */
const put = (
  buckets: Map<number, OpenBucket>,
  index: number,
  from: number,
  to: number,
  count: number,
  value: number,
  low: number,
  high: number,
) => {
  const bucket = buckets.get(index)
  if (bucket === undefined) {
    buckets.set(index, { from, to, count, mean: value, low, high })
    return
  }
  bucket.mean = (bucket.mean * bucket.count + value * count) / (bucket.count + count)
  bucket.count += count
  bucket.from = Math.min(bucket.from, from)
  bucket.to = Math.max(bucket.to, to)
  bucket.low = Math.min(bucket.low, low)
  bucket.high = Math.max(bucket.high, high)
}

/** Merges buckets into buckets of `width` steps, a multiple of their own width. */
export const coarsen = (buckets: Iterable<Bucket>, width: number): readonly Bucket[] => [...merged(buckets, width).values()]

const merged = (buckets: Iterable<Bucket>, width: number): Map<number, OpenBucket> => {
  const wide = new Map<number, OpenBucket>()
  for (const { from, to, count, mean: value, low, high } of buckets) put(wide, Math.floor(from / width), from, to, count, value, low, high)
  return wide
}

/** @param points a growing curve doubles its buckets' width whenever there are more than twice as many of them (default: never) */
export const downSampler = (firstWidth: number, points = Infinity): DownSampler => {
  let width = firstWidth
  let open = new Map<number, OpenBucket>()
  return {
    width: () => width,
    buckets: () => [...open.values()].map((bucket) => ({ ...bucket })).sort((a, b) => a.from - b.from),
    add: (step, value) => {
      put(open, Math.floor(step / width), step, step, 1, value, value, value)
      while (open.size > 2 * points) {
        width *= 2
        open = merged(open.values(), width)
      }
    },
  }
}

/** The bucket width with which a curve of `steps` steps has at most `points` buckets. */
export const bucketWidth = (steps: number, points: number): number => Math.max(1, Math.ceil((steps + 1) / points))

/** A bucket over runs: the mean of the runs' means, and the minimum and maximum of all runs. */
export type Band = Omit<Bucket, 'count'> & { readonly runs: number }

/** Combines curves of several runs with the same bucket width into one curve. */
export const mergeBands = (curves: readonly (readonly Bucket[])[], width: number): readonly Band[] =>
  [...group(curves.flat(), ({ from }) => Math.floor(from / width)).values()]
    .map((alike) => ({
      from: min(alike, ({ from }) => from) ?? NaN,
      to: max(alike, ({ to }) => to) ?? NaN,
      runs: alike.length,
      mean: mean(alike, ({ mean: ofRun }) => ofRun) ?? NaN,
      low: min(alike, ({ low }) => low) ?? NaN,
      high: max(alike, ({ high }) => high) ?? NaN,
    }))
    .sort((a, b) => a.from - b.from)
