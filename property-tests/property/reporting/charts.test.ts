/** Charts: down-sampled curves keep their extremes, and axes, colors and figures show what they say. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seriesColors } from '../../../reporting/charts/chartStyle.js'
import { lineChart } from '../../../reporting/charts/lineChart.js'
import { bandOf, bucketWidth, downSampler } from '../../../reporting/charts/downSample.js'
import { loadSvgRenderer } from '../../../reporting/charts/drawing.js'
import { agreements } from '../../../reporting/charts/figures/agreement.js'
import { readRunCurves } from '../../../reporting/charts/runCurves.js'
import { SEED } from '../../support/seed.js'
import { ranksOf, writeRun } from './reportRuns.js'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-charts-'))
})
afterAll(() => rm(root, { recursive: true }))

describe('down-sampling', () => {
  it('keeps all extremes and means of any curve', () => {
    const curves = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 400, size: 'max' })
    fc.assert(
      fc.property(curves, fc.integer({ min: 1, max: 60 }), (values, points) => {
        const width = bucketWidth(values.length, points)
        const sampler = downSampler(width)
        values.forEach((value, i) => sampler.add(i + 1, value))
        const buckets = sampler.buckets()
        expect(buckets.length).toBeLessThanOrEqual(points)
        expect(Math.min(...buckets.map(({ low }) => low))).toBe(Math.min(...values))
        expect(Math.max(...buckets.map(({ high }) => high))).toBe(Math.max(...values))
        expect(buckets.reduce((sum, { count }) => sum + count, 0)).toBe(values.length)
        for (const { from, to, low, high, mean } of buckets) {
          const inBucket = values.slice(from - 1, to)
          expect([low, high]).toEqual([Math.min(...inBucket), Math.max(...inBucket)])
          expect(mean).toBeCloseTo(inBucket.reduce((a, b) => a + b, 0) / inBucket.length, 6)
        }
        const band = bandOf([buckets, buckets.map((bucket) => ({ ...bucket, high: bucket.high + 1 }))], width)
        expect(band.map(({ high, runs }) => [high, runs])).toEqual(buckets.map(({ high }) => [high + 1, 2]))
      }),
      { seed: SEED, numRuns: 100 },
    )
  })

  it('finds the only peak of a long run in one pass over the file', async () => {
    const steps = 100_000
    await writeRun(join(root, 'long'), { steps, lossAt: (step) => (step === 54_321 ? 99 : 1) })
    const { steps: curves } = await readRunCurves(join(root, 'long'), steps, bucketWidth(steps, 240))
    expect(curves.taskLoss.length).toBe(240)
    expect(curves.taskLoss.filter(({ high }) => high === 99).map(({ from, to }) => from <= 54_321 && 54_321 <= to)).toEqual([true])
  })
})

describe('the agreement of ranks', () => {
  it('is 1 for equal ranks, and follows its definitions', () => {
    const of = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>) => agreements({ ranks: [a, b], seeds: [0, 1] })[0]
    expect(of(ranksOf(1, 2, 3, 4), ranksOf(1, 2, 3, 4))).toEqual({
      seeds: [0, 1],
      correlation: expect.closeTo(1, 12),
      equal: 1,
      overlap: 1,
    })
    // r of (0, 2, 4, 6) and (6, 4, 2, 0) is −1; Σ min = 0 + 2 + 2 + 0, Σ max = 6 + 4 + 4 + 6
    expect(of(ranksOf(0, 2, 4, 6), ranksOf(6, 4, 2, 0))).toEqual({
      seeds: [0, 1],
      correlation: expect.closeTo(-1, 12),
      equal: 0,
      overlap: 0.2,
    })
    expect(of(ranksOf(0, 0, 0, 0), ranksOf(0, 0, 0, 0))).toEqual({ seeds: [0, 1], correlation: null, equal: 1, overlap: null })
  })
})

describe('the axis of a chart', () => {
  const labels = async (y: number): Promise<ReadonlyArray<string>> => {
    const svg = await (await loadSvgRenderer())(lineChart([{ series: 'one', x: 1, y }], { title: 'step' }, { title: 'score' }))
    return [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, text = '']) => text)
  }

  it('an axis with a single value has this value without trailing zeros as label', async () => {
    expect(await labels(0.68)).toEqual(expect.arrayContaining(['1', '0.68']))
    expect(await labels(12_000)).toEqual(expect.arrayContaining(['1', '12k']))
    for (const y of [0.68, 12_000]) expect((await labels(y)).filter((text) => /\.\d*0$/.test(text))).toEqual([])
  })
})

describe('the colors of series', () => {
  /** Relative luminance of an sRGB color (WCAG 2.2). */
  const luminance = (color: string): number => {
    const [r = 0, g = 0, b = 0] = [1, 3, 5].map((i) => {
      const c = Number.parseInt(color.slice(i, i + 2), 16) / 255
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const contrast = (a: string, b: string): number => {
    const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y)
    return (high + 0.05) / (low + 0.05)
  }
  it.each(['#ffffff', '#15171a'])('have a contrast of at least 3 : 1 on %s', (ground) => {
    for (const color of seriesColors) expect(contrast(color, ground), color).toBeGreaterThanOrEqual(3)
  })
})
