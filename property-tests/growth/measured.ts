/** Processor time against size, and the exponent of the power of the size that it grows with. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

export type Grown = {
  readonly what: string
  /** the unit of its size, which is doubled */
  readonly of: string
  readonly from: number
  /** Makes the input of a size in an empty folder, outside the measured time. @returns the work, which may be done several times */
  readonly prepare: (size: number, folder: string) => Promise<() => unknown>
  /** the largest exponent, if it is not that of linear time, and why */
  readonly bound?: { readonly exponent: number; readonly reason: string }
}

export type Growth = {
  readonly grown: Grown
  readonly points: ReadonlyArray<{ readonly size: number; readonly seconds: number }>
  readonly exponent: number
  readonly ok: boolean
}

const doublings = 5
/** Of linear time, with the noise of a measurement. */
export const linearBound = 1.1

/** @param longest seconds of one size; no larger size follows a longer one */
export const measured = async (grown: Grown, folder: string, longest: number): Promise<Growth> => {
  const points: Array<{ readonly size: number; readonly seconds: number }> = []
  await work(grown, grown.from, join(folder, 'warm')) // compiles the code
  for (let doubling = 0; doubling <= doublings; doubling++) {
    const size = grown.from * 2 ** doubling
    const seconds = await work(grown, size, join(folder, `${size}`))
    points.push({ size, seconds })
    if (seconds > longest) break
  }
  const exponent = exponentOf(points)
  return { grown, points, exponent, ok: !(exponent > (grown.bound?.exponent ?? linearBound)) }
}

/** Shorter work is repeated, and its shortest time counts: other work of the machine only adds to it. */
const [shortTotal, mostRepeats] = [0.6, 12]

/** The work of a case on a small input, once. */
export const done = async ({ prepare }: Grown, size: number, folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true })
  await (await prepare(size, folder))()
}

const work = async ({ prepare }: Grown, size: number, folder: string): Promise<number> => {
  await mkdir(folder, { recursive: true })
  const run = await prepare(size, folder)
  let [shortest, total] = [Infinity, 0]
  for (let i = 0; i < mostRepeats && (i === 0 || total < shortTotal); i++) {
    globalThis.gc?.()
    const start = process.cpuUsage()
    await run()
    const { user, system } = process.cpuUsage(start)
    shortest = Math.min(shortest, (user + system) / 1e6)
    total += (user + system) / 1e6
  }
  return shortest
}

/** The slope of a line through the logarithms of the largest sizes, where fixed costs matter least. */
export const exponentOf = (points: Growth['points']): number => {
  const largest = points.slice(-4).map(({ size, seconds }) => [Math.log2(size), Math.log2(Math.max(seconds, 1e-6))] as const)
  const [meanX, meanY] = [0, 1].map((i) => largest.reduce((sum, point) => sum + (point[i] ?? 0), 0) / largest.length) as [number, number]
  const [over, under] = largest.reduce(([a, b], [x, y]) => [a + (x - meanX) * (y - meanY), b + (x - meanX) ** 2], [0, 0])
  return over / under
}

export const headerLine = `${'what'.padEnd(46)}  ${'of'.padEnd(12)}  ${'sizes'.padEnd(18)}  ${'seconds of processor time'.padEnd(54)}  exponent`

export const lineOf = ({ grown: { what, of, bound }, points, exponent, ok }: Growth): string => {
  const sizes = `${count(points[0]?.size ?? 0)} … ${count(points.at(-1)?.size ?? 0)}`
  const seconds = points.map((point) => point.seconds.toPrecision(3).padStart(8)).join(' ')
  const end = `${exponent.toFixed(2)}${ok ? '' : ' TOO HIGH'}${bound === undefined ? '' : ` (${bound.reason})`}`
  return `${what.padEnd(46)}  ${of.padEnd(12)}  ${sizes.padEnd(18)}  ${seconds.padEnd(54)}  ${end}`
}

const count = (n: number): string => n.toLocaleString('en-US')
