/** The measure of growth: the exponents of known functions, and cases that still do their work. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { areas } from './areas/index.js'
import { done, exponentOf, linearBound, lineOf, measured } from './measured.js'

const { folder } = temporaryFolder('growth')

describe('an exponent', () => {
  const of = (seconds: (size: number) => number): number =>
    exponentOf([1, 2, 4, 8, 16, 32].map((k) => ({ size: 100 * k, seconds: seconds(100 * k) })))
  it('is the power of the size with which the time grows', () => {
    expect(of((n) => 3e-4 * n)).toBeCloseTo(1, 10)
    expect(of((n) => 2e-6 * n ** 2)).toBeCloseTo(2, 10)
    expect(of(() => 0.2)).toBeCloseTo(0, 10)
    expect(of((n) => 1e-5 * n * Math.log2(n))).toBeLessThan(1.15)
    // a quadratic part that is half of the time at the largest size
    expect(of((n) => n + n ** 2 / 3_200)).toBeGreaterThan(1.25)
  })

  it('is measured at sizes doubled five times, or until one takes too long, and fails above its bound', async () => {
    const sizes = new Set<number>()
    const spinning = (until: (size: number) => number) => ({
      what: 'spin',
      of: 'n',
      from: 8,
      prepare: async (size: number) => () => {
        sizes.add(size)
        const start = process.cpuUsage()
        const spent = (): number => process.cpuUsage(start).user + process.cpuUsage(start).system
        while (spent() < 1e6 * until(size)) for (let i = 0; i < 1e5; i++);
      },
    })
    const square = await measured(
      spinning((n) => (n / 8) ** 2 / 500),
      join(folder, 'square'),
      0.5,
    )
    expect([...sizes]).toEqual([8, 16, 32, 64, 128])
    expect([square.points.length, square.ok]).toEqual([5, false])
    expect(square.exponent).toBeGreaterThan(1.6)
    expect(lineOf(square)).toMatch(/^spin +n +8 … 128 .* TOO HIGH$/)
    expect(lineOf({ ...square, ok: true, grown: { ...square.grown, bound: { exponent: 2.1, reason: 'it is a square' } } })).toMatch(
      /\d \(it is a square\)$/,
    )
  })
})

describe('docs/explanation/growth.md', () => {
  const rows = readFileSync('docs/explanation/growth.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2)
    .map((line) => line.slice(2, -2).split(' | '))
  it('has a row for each case, with its unit and its reason', () => {
    expect(rows.map(([what, of, , , reason]) => [what, of, reason])).toEqual(
      areas.map(({ what, of, bound }) => [what, of, bound?.reason ?? '–']),
    )
  })
  it('has no exponent above its bound', () => {
    expect(rows.filter(([, , , exponent], i) => !(Number(exponent) <= (areas[i]?.bound?.exponent ?? linearBound)))).toEqual([])
  })
})

describe('every case of growth', () => {
  it.each(areas.map((grown) => [`${grown.what}, by ${grown.of}`, grown] as const))(
    'does its work on a small input: %s',
    async (_, grown) => {
      await done(grown, 8, join(folder, `${areas.indexOf(grown)}`))
    },
  )
})
