/** Scales of axes: positions of values, and round ticks. Linear, base-2 logarithmic, and linear near zero but logarithmic beyond ±1. */

export type Scale = {
  /** the position of a value in pixels */
  readonly at: (value: number) => number
  readonly ticks: ReadonlyArray<number>
}

type Range = readonly [from: number, to: number]

const between = ([from, to]: Range, share: number): number => from + share * (to - from)

/** The largest of 1, 2 and 5 times a power of ten that gives at least `count` steps. */
const stepOf = (span: number, count: number): number => {
  const power = 10 ** Math.floor(Math.log10(span / count))
  const factor = span / count / power
  return power * (factor >= 5 ? 5 : factor >= 2 ? 2 : 1)
}

const roundTicks = ([low, high]: Range, count: number): ReadonlyArray<number> => {
  if (!(high > low)) return [low]
  const step = stepOf(high - low, count)
  const first = Math.ceil(low / step - 1e-9)
  return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  )
}

/** @param count the number of ticks, about */
export const linearScale = (domain: Range, range: Range, count: number): Scale => {
  const [low, high] = domain
  return { at: (value) => between(range, high > low ? (value - low) / (high - low) : 0.5), ticks: roundTicks(domain, count) }
}

export const logarithmicScale = ([low, high]: Range, range: Range, ticks: ReadonlyArray<number>): Scale => {
  const span = Math.log2(high / low)
  return { at: (value) => between(range, span > 0 ? Math.log2(value / low) / span : 0.5), ticks }
}

const symmetricLog = (value: number): number => Math.sign(value) * Math.log1p(Math.abs(value))

/** Ticks are at zero and at powers of ten, at most five on each side. */
export const symmetricLogScale = ([low, high]: Range, range: Range): Scale => {
  const { at } = linearScale([symmetricLog(low), symmetricLog(high)], range, 1)
  return { at: (value) => at(symmetricLog(value)), ticks: powersOfTen(low, high) }
}

const powersOfTen = (low: number, high: number): ReadonlyArray<number> => {
  const upTo = (end: number): ReadonlyArray<number> => {
    const powers = Array.from({ length: Math.max(0, Math.floor(Math.log10(Math.max(end, 0.1))) + 1) }, (_, i) => 10 ** i)
    const every = Math.ceil(powers.length / 5)
    return powers.filter((_, i) => i % every === 0)
  }
  const zero = low <= 0 && high >= 0 ? [0] : []
  const negative = upTo(-low).map((power) => -power)
  return [...negative.reverse(), ...zero, ...upTo(high)].filter((tick) => tick >= low && tick <= high)
}

/** 1000 → 1k, 0.00025 → 2.5e-4, and 0.68 stays. */
export const tickText = (value: number): string => {
  const size = Math.abs(value)
  const short = (scaled: number, unit: string): string => `${Number(scaled.toPrecision(4))}${unit}`
  if (size >= 1e12) return short(value, '')
  if (size >= 1e9) return short(value / 1e9, 'G')
  if (size >= 1e6) return short(value / 1e6, 'M')
  if (size >= 1e3) return short(value / 1e3, 'k')
  return size > 0 && size < 1e-3 ? Number(value.toPrecision(3)).toExponential() : short(value, '')
}
