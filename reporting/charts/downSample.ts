/** Down-sampling of curves. Equal buckets of steps keep their mean, minimum and maximum, so no peak is lost. */

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
  readonly buckets: () => ReadonlyArray<Bucket>
}

type OpenBucket = { from: number; to: number; count: number; sum: number; low: number; high: number }

/** @param width steps in a bucket: the first bucket has steps 0 to width − 1 */
export const downSampler = (width: number): DownSampler => {
  const open = new Map<number, OpenBucket>()
  return {
    add: (step, value) => {
      const index = Math.floor(step / width)
      const bucket = open.get(index)
      if (bucket === undefined) {
        open.set(index, { from: step, to: step, count: 1, sum: value, low: value, high: value })
        return
      }
      bucket.from = Math.min(bucket.from, step)
      bucket.to = Math.max(bucket.to, step)
      bucket.count += 1
      bucket.sum += value
      bucket.low = Math.min(bucket.low, value)
      bucket.high = Math.max(bucket.high, value)
    },
    buckets: () => [...open.values()].sort((a, b) => a.from - b.from).map(({ sum, ...rest }) => ({ ...rest, mean: sum / rest.count })),
  }
}

/** The bucket width with which a curve of `steps` steps has at most `points` buckets. */
export const bucketWidth = (steps: number, points: number): number => Math.max(1, Math.ceil((steps + 1) / points))

/** Merges buckets into buckets of `width` steps, a multiple of their own width. */
export const coarsen = (buckets: ReadonlyArray<Bucket>, width: number): ReadonlyArray<Bucket> => {
  const wide: Bucket[] = []
  for (const bucket of buckets) {
    const last = wide.at(-1)
    if (last === undefined || Math.floor(last.from / width) !== Math.floor(bucket.from / width)) {
      wide.push(bucket)
      continue
    }
    const count = last.count + bucket.count
    wide[wide.length - 1] = {
      from: last.from,
      to: bucket.to,
      count,
      mean: (last.mean * last.count + bucket.mean * bucket.count) / count,
      low: Math.min(last.low, bucket.low),
      high: Math.max(last.high, bucket.high),
    }
  }
  return wide
}

export type GrowingSampler = DownSampler & {
  /** current bucket width, a power of two */
  readonly width: () => number
}

/** Down-samples a growing curve: the bucket width doubles whenever there are more than 2 · `points` buckets. Steps must be in order. */
export const growingSampler = (points: number): GrowingSampler => {
  let [width, closed]: [number, ReadonlyArray<Bucket>] = [1, []]
  let open = downSampler(width)
  let added = 0
  const buckets = (): ReadonlyArray<Bucket> => coarsen([...closed, ...open.buckets()], width)
  return {
    add: (step, value) => {
      open.add(step, value)
      if (++added <= points) return
      ;[closed, added] = [buckets(), 0]
      while (closed.length > 2 * points) {
        width *= 2
        closed = coarsen(closed, width)
      }
      open = downSampler(width)
    },
    buckets,
    width: () => width,
  }
}

/** A bucket over runs: the mean of the runs' means, and the minimum and maximum of all runs. */
export type Band = Omit<Bucket, 'count'> & { readonly runs: number }

/** Combines curves of several runs with the same bucket width into one curve. */
export const bandOf = (curves: ReadonlyArray<ReadonlyArray<Bucket>>, width: number): ReadonlyArray<Band> => {
  const byIndex = new Map<number, Bucket[]>()
  for (const bucket of curves.flat()) {
    const index = Math.floor(bucket.from / width)
    byIndex.set(index, [...(byIndex.get(index) ?? []), bucket])
  }
  return [...byIndex]
    .sort(([a], [b]) => a - b)
    .map(([, buckets]) => ({
      from: Math.min(...buckets.map(({ from }) => from)),
      to: Math.max(...buckets.map(({ to }) => to)),
      runs: buckets.length,
      mean: buckets.reduce((sum, { mean }) => sum + mean, 0) / buckets.length,
      low: Math.min(...buckets.map(({ low }) => low)),
      high: Math.max(...buckets.map(({ high }) => high)),
    }))
}
