/** Figures from runs by hand: scores by rank, and the places of lines, bands, levels and intervals. */
import { describe, expect, it } from 'vitest'
import { lineChart, seriesColor } from '../../../reporting/charts/chart.js'
import type { PlottedSeries } from '../../../reporting/figures/figure.js'
import { settingFigures } from '../../../reporting/figures/settingFigures.js'
import { groupSeries } from '../../../reporting/runs/series.js'
import { drawChart, drawSparkline, fileLayout } from '../../../reporting/charts/drawChart.js'
import { lineFrame } from '../../../reporting/charts/lineSvg.js'
import type { FinishedRun } from '../../../reporting/runs/collectRuns.js'
import { madeRun, type MadeRun } from './reportRuns.js'

const plotted = (...made: readonly MadeRun[]): readonly PlottedSeries[] => {
  const runs = made.map((one) => {
    const { config, result } = madeRun({ method: 'lora', task: 'reviews', ...one })
    return { folder: 'run', name: 'run', place: null, config, result } as unknown as FinishedRun
  })
  return groupSeries(runs).map((series) => ({ ...series, curves: [], width: 1 }))
}
const ofRank = (rank: number, accuracy: number, seed = 0): MadeRun => ({ seed, accuracy, settings: { rank, loraAlpha: 2 * rank } })

describe('the figure of scores by rank', () => {
  const byRank = settingFigures.find(({ name }) => name === 'figure1-4-rank')
  const content = byRank?.plot(plotted(ofRank(8, 0.75), ofRank(2, 0.25), ofRank(4, 0.5, 1), ofRank(4, 1, 2)))

  it('has its points in the order of the ranks, each with the mean and the range of its runs', () => {
    const [panel] = content?.panels ?? []
    if (panel?.chart.kind !== 'line') throw new Error('expected a line chart')
    expect(panel.chart.lines.map(({ points }) => points)).toEqual([
      [
        [2, 0.25],
        [4, 0.75, 0.5, 1],
        [8, 0.75],
      ],
    ])
    expect(panel.chart.x.values).toEqual([2, 4, 8])
    expect(content?.table.rows.map((row) => row.slice(2))).toEqual([
      [2, 1, 'accuracy', 0.25, 0.25, 0.25],
      [4, 2, 'accuracy', 0.75, 0.5, 1],
      [8, 1, 'accuracy', 0.75, 0.75, 0.75],
    ])
  })

  it('is none for runs of one rank', () => expect(byRank?.plot(plotted(ofRank(4, 0.5, 1), ofRank(4, 1, 2)))).toBe(null))
})

describe('a sparkline', () => {
  it('has a point for each evaluation, the best at the top, over all steps of the run', () => {
    const { html = '', text } =
      drawSparkline(
        'f1',
        [
          [100, 0.5],
          [200, 0.75],
          [300, 0.625],
        ],
        400,
      ) ?? {}
    const [, path = ''] = /d="M([^"]*)"/.exec(html) ?? []
    const points = path.split('L').map((point) => point.split(',').map(Number))
    expect(points).toEqual([
      [23, 18],
      [44, 2],
      [65, 10],
    ]) // of 88 × 20 pixels, with a margin of 2
    expect(text).toBe('f1: 50.0 % at step 100, 62.5 % at step 300')
    expect(html).toContain(`aria-label="${text}"`)
    for (const points of [[], [[100, 0.5]] as const]) expect(drawSparkline('f1', points, 400)).toBe(null)
  })
})

describe('a line chart', () => {
  it('has bands and levels within its frame', () => {
    const points = [0, 1].map((x) => ({ series: 'one', x, y: 5 + x, low: 0, high: 10 }))
    const frame = lineFrame(lineChart(points, { title: 'x' }, { title: 'y' }, { levels: [{ series: 'two', y: 12 }] }), 400, 200)
    for (const value of [0, 10, 12]) {
      expect(frame.y.at(value)).toBeGreaterThanOrEqual(frame.top)
      expect(frame.y.at(value)).toBeLessThanOrEqual(frame.bottom)
    }
  })

  it('has a level in the color of the line of its name', () => {
    const points = ['one', 'two'].flatMap((series) => [0, 1].map((x) => ({ series, x, y: x })))
    const strokes = (name: string): number => {
      const chart = lineChart(points, { title: 'x' }, { title: 'y' }, { levels: [{ series: name, y: 0.5 }] })
      return drawChart(chart, { ...fileLayout, smoothing: 0 })
        .split('<path')
        .filter((part) => part.includes(`stroke="${seriesColor(1)}"`)).length
    }
    expect(strokes('two') - strokes('one')).toBe(1)
  })
})
