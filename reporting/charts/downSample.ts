/** Down-sampling of curves: steps fall into equal buckets, of which mean, smallest and largest value stay, so that no peak is lost. */

export type Bucket = {
  /** the first and the last step that it has a value of */
  readonly from: number
  readonly to: number
  /** values in it, of one run */
  readonly count: number
  readonly mean: number
  readonly low: number
  readonly high: number
}

export type DownSampler = {
  readonly add: (step: number, value: number) => void
  /** in the order of the steps */
  readonly buckets: () => ReadonlyArray<Bucket>
}

type Filling = { from: number; to: number; count: number; sum: number; low: number; high: number }

/** @param width steps in a bucket: the first has steps 0 to width − 1; with 1 every value stays as it is */
export const downSampler = (width: number): DownSampler => {
  const fillings = new Map<number, Filling>()
  return {
    add: (step, value) => {
      const index = Math.floor(step / width)
      const filling = fillings.get(index)
      if (filling === undefined) {
        fillings.set(index, { from: step, to: step, count: 1, sum: value, low: value, high: value })
        return
      }
      filling.from = Math.min(filling.from, step)
      filling.to = Math.max(filling.to, step)
      filling.count += 1
      filling.sum += value
      filling.low = Math.min(filling.low, value)
      filling.high = Math.max(filling.high, value)
    },
    buckets: () => [...fillings.values()].sort((a, b) => a.from - b.from).map(({ sum, ...rest }) => ({ ...rest, mean: sum / rest.count })),
  }
}

/** Steps in a bucket, so that a curve of `steps` steps has at most `points` of them. */
export const bucketWidth = (steps: number, points: number): number => Math.max(1, Math.ceil((steps + 1) / points))

/** Buckets of `width` steps made of narrower ones, whose width it is a multiple of. */
export const coarsened = (buckets: ReadonlyArray<Bucket>, width: number): ReadonlyArray<Bucket> => {
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
  /** steps in a bucket so far: a power of two */
  readonly width: () => number
}

/** Of a curve whose end is not known: its buckets become twice as wide whenever there are more than twice `points`. Steps come in order. */
export const growingSampler = (points: number): GrowingSampler => {
  let [width, closed]: [number, ReadonlyArray<Bucket>] = [1, []]
  let open = downSampler(width)
  let added = 0
  const buckets = (): ReadonlyArray<Bucket> => coarsened([...closed, ...open.buckets()], width)
  return {
    add: (step, value) => {
      open.add(step, value)
      if (++added <= points) return
      ;[closed, added] = [buckets(), 0]
      while (closed.length > 2 * points) {
        width *= 2
        closed = coarsened(closed, width)
      }
      open = downSampler(width)
    },
    buckets,
    width: () => width,
  }
}

/** A bucket over runs: the mean of their means, and the smallest and largest value that any of them had. */
export type Band = Omit<Bucket, 'count'> & { readonly runs: number }

/** Curves of several runs, of equal width, as one. */
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
