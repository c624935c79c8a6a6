/** Charts: down-sampled curves keep their extremes, and axes, colors and figures show what they say. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bestSeries } from '../../../reporting/runs/scores.js'
import { lineChart, seriesColors, type HeatMapChart } from '../../../reporting/charts/chart.js'
import { mergeBands, bucketWidth, coarsen, downSampler } from '../../../reporting/runs/downSample.js'
import { ranksContent } from '../../../reporting/figures/heatMaps.js'
import { plotFigures } from '../../../reporting/figures/index.js'
import { bytesText, durationText, scoreText } from '../../../reporting/text/units.js'
import { readRunCurves } from '../../../reporting/runs/runCurves.js'
import { drawChart, fileLayout } from '../../../reporting/charts/drawChart.js'
import type { Series } from '../../../reporting/runs/series.js'
import type { FinishedRun } from '../../../reporting/runs/collectRuns.js'
import { lineFrame, smoothed } from '../../../reporting/charts/lineSvg.js'
import { SEED } from '../../support/seed.js'
import { writeRun } from './reportRuns.js'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-charts-'))
})
afterAll(() => rm(root, { recursive: true }))

describe('down-sampling', () => {
  it('in two stages gives the buckets of one stage, for a curve as it grows too', () =>
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 120 }),
        fc.constantFrom(1, 2, 3),
        fc.constantFrom(1, 2, 4),
        (values, width, factor) => {
          const [narrow, wide, growing] = [downSampler(width), downSampler(width * factor), downSampler(1, 4)]
          values.forEach((value, step) => {
            for (const sampler of [narrow, wide, growing]) sampler.add(step, value)
          })
          const expectSame = (actual: ReturnType<typeof coarsen>, expected: ReturnType<typeof coarsen>): void => {
            expect(actual.map(({ mean: _, ...rest }) => rest)).toEqual(expected.map(({ mean: _, ...rest }) => rest))
            actual.forEach(({ mean }, i) => expect(mean).toBeCloseTo(expected[i]?.mean ?? NaN, 9))
          }
          expectSame(coarsen(narrow.buckets(), width * factor), wide.buckets())
          const ofWidth = downSampler(growing.width())
          values.forEach((value, step) => ofWidth.add(step, value))
          expectSame(growing.buckets(), ofWidth.buckets())
        },
      ),
      { seed: SEED, numRuns: 200 },
    ))

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
        const band = mergeBands([buckets, buckets.map((bucket) => ({ ...bucket, high: bucket.high + 1 }))], width)
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

describe('the map of ranks', () => {
  const series = [{ task: 'cola', label: 'one', seeds: [0], ranks: [] }]
  const mapOf = (ranks: Readonly<Record<string, number>>) => {
    const [panel] = ranksContent([{ ...series[0]!, ranks: [ranks] }], '')?.panels ?? []
    if (panel?.chart.kind !== 'heatMap') throw new Error('expected a heat map')
    return { ...panel, chart: panel.chart }
  }

  it('has its rows in the order of the layers, which is that of numbers, and a dash for a matrix outside of them', () => {
    const { chart } = mapOf({ 'h.10.output.dense': 1, 'h.2.attention.self.key': 3, 'h.0.output.dense': 2, lm_head: 4 })
    expect(chart.rows.order).toEqual(['–', '0', '2', '10'])
    expect(chart.columns.order).toEqual(['output', 'key', 'lm_head'])
    expect(chart.cells.map(({ row, column, value }) => [row, column, value])).toEqual([
      ['10', 'output', 1],
      ['2', 'key', 3],
      ['0', 'output', 2],
      ['–', 'lm_head', 4],
    ])
  })

  it('names its highest and its lowest rank to those who do not see it', () => {
    expect(mapOf({ 'h.0.output.dense': 2, 'h.1.output.dense': 7, 'h.2.output.dense': 0.5 }).alternative).toBe(
      'Heat map of ranks, cola, one: 3 layers by 1 matrices. Highest 7.0 in h.1.output.dense, lowest 0.5 in h.2.output.dense.',
    )
  })

  it('says in its title how many runs it is of, unless the caller gives its own', () => {
    const two = { ...series[0]!, seeds: [0, 1], ranks: [{ 'h.0.a': 2 }, { 'h.0.a': 5 }] }
    const titlesOf = (...more: [] | [(one: { readonly label: string }) => string]) =>
      ranksContent([two], '', ...more)?.panels.map(({ title }) => title)
    expect([titlesOf(), titlesOf(({ label }) => `${label}, step 3`)]).toEqual([['cola: one (2 runs)'], ['one, step 3']])
  })

  it('has the mean of the runs that have a matrix, with its lowest and highest rank', () => {
    const content = ranksContent([{ ...series[0]!, seeds: [0, 1], ranks: [{ 'h.0.a': 2, 'h.0.b': 8 }, { 'h.0.a': 5 }] }], '')
    expect(content?.table.rows).toEqual([
      ['cola', 'one', 2, 0, 'h.0.a', 3.5, 2, 5],
      ['cola', 'one', 2, 0, 'h.0.b', 8, 8, 8],
    ])
  })
})

describe('the best series of a task', () => {
  const runs = (scores: Readonly<Record<string, number>>) => [
    { result: { best: null, last: { step: 5, scores } } } as unknown as FinishedRun,
  ]
  const series = (task: string, metric: string, values: readonly number[]): readonly Series[] =>
    values.map((value) => ({ task, metric, label: String(value), runs: runs({ [metric]: value }) }))

  it('has the highest score, or the lowest loss, and of equal ones the first', () => {
    const best = bestSeries([...series('a', 'accuracy', [0.5, 0.9, 0.7]), ...series('b', 'loss', [0.5, 0.9, 0.2, 0.2])])
    expect(best.map(({ task, label }) => [task, label])).toEqual([
      ['a', '0.9'],
      ['b', '0.2'],
    ])
  })
})

describe('the axis of a chart', () => {
  it('puts equal ratios at equal distances where it is logarithmic, and has the values of the runs as ticks', () => {
    const points = [1, 4, 16].map((x) => ({ series: 'one', x, y: x }))
    const { x, left, right } = lineFrame(lineChart(points, { title: 'rank', values: [1, 4, 16] }, { title: 'score' }), 400, 200)
    expect([x.at(1), x.at(16), x.ticks]).toEqual([left, right, [1, 4, 16]])
    expect(x.at(4)).toBeCloseTo((left + right) / 2, 9)
  })

  it('has one value of several that hardly differ', () => {
    const points = [0, 1].map((x) => ({ series: 'one', x, y: 0.5 + 1e-13 * x }))
    expect(lineFrame(lineChart(points, { title: 'step' }, { title: 'loss' }), 400, 200).y.ticks).toHaveLength(1)
  })

  it('has whole steps as ticks, though a resumed run has few of them', () => {
    const points = [26, 27].map((x) => ({ series: 'one', x, y: x }))
    expect(lineFrame(lineChart(points, { title: 'step' }, { title: 'loss' }), 1200, 200).x.ticks).toEqual([26, 27])
  })

  const labels = (y: number): readonly string[] =>
    textsIn(drawChart(lineChart([{ series: 'one', x: 1, y }], { title: 'step' }, { title: 'score' })))

  it('an axis with a single value has this value without trailing zeros as label', () => {
    expect(labels(0.68)).toEqual(expect.arrayContaining(['1', '0.68']))
    expect(labels(12_000)).toEqual(expect.arrayContaining(['1', '12k']))
    for (const y of [0.68, 12_000]) expect(labels(y).filter((text) => /\.\d*0$/.test(text))).toEqual([])
  })

  it('is linear near zero and logarithmic beyond, with zero and powers of ten as ticks', () => {
    const points = [-100, 1_000_000].map((y, x) => ({ series: 'one', x, y }))
    const { y, top, bottom } = lineFrame(lineChart(points, { title: 'step' }, { title: 'λ', logarithmic: true }), 400, 200)
    expect(y.ticks).toEqual([-100, -10, -1, 0, 1, 100, 10_000, 1_000_000])
    expect([y.at(-100), y.at(1_000_000)]).toEqual([bottom, top])
    expect((y.at(1e6) - y.at(1e5)) / (y.at(1e5) - y.at(1e4))).toBeCloseTo(1, 3)
  })
})

const textsIn = (svg: string): readonly string[] => [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, text = '']) => text)

describe('a drawn chart', () => {
  /** The highest and lowest y of the line with the color. A swatch has no second point. */
  const extremesOf = (svg: string, color: string): readonly [number, number] => {
    const [, path = ''] = new RegExp(`<path d="(M[^"h]*L[^"]*)"[^>]* stroke="${color}"`).exec(svg) ?? []
    const ys = [...path.matchAll(/[ML][\d.-]+,([\d.-]+)/g)].map(([, y]) => Number(y))
    return [Math.min(...ys), Math.max(...ys)]
  }

  it('has each value of a line at its height: lines of one chart share their axes', () => {
    const points = [0, 1, 2, 3].flatMap((x) => [
      { series: 'low', x, y: x },
      { series: 'high', x, y: 10 * x },
    ])
    const svg = drawChart(lineChart(points, { title: 'x' }, { title: 'y' }))
    const [lowTop, lowBottom] = extremesOf(svg, seriesColors[0])
    const [highTop, highBottom] = extremesOf(svg, seriesColors[1])
    expect(lowBottom).toBeCloseTo(highBottom, 1)
    expect((lowBottom - lowTop) / (highBottom - highTop)).toBeCloseTo(3 / 30, 2)
  })

  it('names few lines at their ends, in the order of the ends, and many in a legend', () => {
    const lines = (count: number) => Array.from({ length: count }, (_, i) => ({ series: `line ${i}`, x: 1, y: i }))
    const placesOf = (count: number) => {
      const svg = drawChart(lineChart(lines(count), { title: 'x' }, { title: 'y' }))
      return [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)"[^>]*>(line \d)/g)]
        .map(([, x, y, name]) => [Number(x), Number(y), name] as const)
        .sort(([, a], [, b]) => a - b)
    }
    const five = placesOf(5)
    for (const [x] of five) expect(x).toBeGreaterThan(fileLayout.width * 0.66)
    const heights = five.map(([, y]) => y)
    expect(five.map(([, , name]) => name)).toEqual(['line 4', 'line 3', 'line 2', 'line 1', 'line 0'])
    for (const [i, y] of heights.entries()) if (i > 0) expect(y - (heights[i - 1] ?? NaN)).toBeGreaterThanOrEqual(12)
    expect(placesOf(6).every(([, y]) => y < 40)).toBe(true)
  })

  it('has ticks in percent where values are shares, a dashed reference with its name, and a ring at a mark', () => {
    const points = [0.5, 0.8, 0.9].map((y, x) => ({ series: 'one', x, y }))
    const options = { references: [{ name: 'always “fine”', y: 0.25 }], marks: [{ line: 'one', x: 1, y: 0.8 }] }
    const chart = lineChart(points, { title: 'step' }, { title: 'accuracy', isShare: true }, options)
    const svg = drawChart(chart)
    const { x, y, left, right } = lineFrame(chart, fileLayout.width, fileLayout.plotHeight)
    expect(textsIn(svg)).toEqual(expect.arrayContaining(['40 %', '80 %', 'always “fine”']))
    const near = (value: number) => Number(value.toFixed(1))
    expect(svg).toContain(
      `<path d="M${near(left)},${near(y.at(0.25))}H${near(right)}" stroke="currentColor" stroke-opacity="0.6" stroke-dasharray`,
    )
    expect(svg).toContain(`<circle cx="${near(x.at(1))}" cy="${near(y.at(0.8))}" r="5.5"`)
  })

  it('is within its frame, whatever the values and names are', () => {
    const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -0, 1e-300, 1e300))
    const point = fc.record({ series: fc.string({ maxLength: 80 }), x: fc.integer({ min: 0, max: 1e7 }), y: value })
    fc.assert(
      fc.property(
        fc.array(point, { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        fc.integer({ min: 220, max: 1200 }),
        (points, logarithmic, width) => {
          const svg = drawChart(lineChart(points, { title: 'x' }, { title: 'y', logarithmic }), { ...fileLayout, width })
          expect(svg).not.toMatch(/NaN|Infinity|undefined/)
          const [, right = '', bottom = ''] = / viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg) ?? []
          for (const [, x, y] of svg.matchAll(/[ML]([\d.e+-]+),([\d.e+-]+)/g)) {
            expect(Number(x)).toBeLessThanOrEqual(Number(right))
            expect(Number(y)).toBeLessThanOrEqual(Number(bottom))
            expect(Math.min(Number(x), Number(y))).toBeGreaterThanOrEqual(-0.1)
          }
        },
      ),
      { seed: SEED, numRuns: 200 },
    )
  })

  it('keeps the raw line of a smoothed one, faint, and smooths only what is noisy', () => {
    const points = Array.from({ length: 50 }, (_, i) => ({ series: 'one', x: i, y: i % 2 }))
    const strokes = (isNoisy: boolean, smoothing: number): number =>
      drawChart(lineChart(points, { title: 'x' }, { title: 'y' }, { isNoisy }), { ...fileLayout, smoothing }).match(/stroke="#3f6fe8"/g)
        ?.length ?? 0
    expect([strokes(true, 0.6), strokes(true, 0), strokes(false, 0.6)]).toEqual([2, 1, 1])
  })

  it('shows the value in each cell of a heat map', () => {
    const map: HeatMapChart = {
      kind: 'heatMap',
      cells: [
        { row: 'a', column: 'x', value: 3 },
        { row: 'b', column: 'x', value: 0.25 },
      ],
      rows: { title: 'layer', order: ['a', 'b'] },
      columns: { title: '', order: ['x'] },
    }
    expect(textsIn(drawChart(map))).toEqual(['layer', 'x', 'a', 'b', '3', '0.3'])
  })
})

describe('smoothing', () => {
  it('is the moving average with weights wᵗ⁻ⁱ, normalized', () => {
    const values = fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 0.98, noNaN: true }), (ys, weight) => {
        smoothed(ys, weight).forEach((value, t) => {
          const weights = ys.slice(0, t + 1).map((_, i) => weight ** (t - i))
          const total = weights.reduce((a, b) => a + b, 0)
          const expected = ys.slice(0, t + 1).reduce((sum, y, i) => sum + (y * (weights[i] ?? 0)) / total, 0)
          expect(value).toBeCloseTo(expected, 6)
        })
        expect(smoothed(ys, 0)).toEqual(ys)
      }),
      { seed: SEED, numRuns: 100 },
    )
  })
})

describe('human units', () => {
  it.each([
    [bytesText(578_123_456), '578 MB'],
    [bytesText(1_500), '1.5 kB'],
    [bytesText(999_999), '1 MB'],
    [bytesText(999_499), '999 kB'],
    [bytesText(12), '12 bytes'],
    [durationText(200.4), '3 min 20 s'],
    [durationText(3.21), '3.2 s'],
    [durationText(59.7), '1 min 0 s'],
    [durationText(7_260), '2 h 1 min'],
    [scoreText('accuracy', 0.9467), '94.7 %'],
    [scoreText('macroF1', 0.5), '50.0 %'],
    [scoreText('matthews', 0.61234), '0.6123'],
    [scoreText('loss', 0.412345), '0.4123'],
  ])('%s', (text, expected) => expect(text).toBe(expected))
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

describe('a figure that fails', () => {
  it('is named, and the others are shown', () => {
    const good = { name: 'good', title: 'Good', plot: () => ({ caption: '', panels: [], table: { columns: [], rows: [] } }) }
    const bad = {
      ...{ name: 'bad', title: 'Bad' },
      plot: () => {
        throw new Error('a value is NaN')
      },
    }
    const { plotted, failed } = plotFigures([], [good, bad, { ...good, name: 'empty', plot: () => null }])
    expect(plotted.map(({ name }) => name)).toEqual(['good'])
    expect(failed).toEqual(['the figure "Bad" is missing: a value is NaN'])
  })
})
