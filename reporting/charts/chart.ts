/** Charts as Vega-Lite has them: one look for all, lines with bands, and heat maps. Axes and text take the page's own color, so that dark and light both read. */
import type { TopLevelSpec } from 'vega-lite'
import { escapeText } from './escapeText.js'

/** At least 3 : 1 on white and on the page's dark background (WCAG 2.2, 1.4.11). */
export const seriesColors = [
  '#2f7fd1',
  '#d1631a',
  '#2a9154',
  '#c2489c',
  '#8a6fd0',
  '#a07a10',
  '#18919c',
  '#d84848',
  '#7a8088',
  '#5f8f1f',
] as const

/** With color a second sign, for who does not tell the colors apart. */
const dashes = [
  [1, 0],
  [6, 2],
  [2, 2],
  [8, 2, 2, 2],
  [4, 4],
]

/** Series in one panel: more cannot be told apart. */
export const seriesLimit = seriesColors.length
/** Panels of one figure. */
export const panelLimit = 12

const currentColor = 'currentColor'
const config = {
  lineBreak: '\n',
  aria: false, // the page's own alternative text says it
  background: 'transparent',
  // the names of what Linux has stand before the last, which not every drawer knows
  font: 'system-ui, Roboto, Noto Sans, DejaVu Sans, Liberation Sans, Arial, sans-serif',
  view: { stroke: null },
  axis: {
    labelColor: currentColor,
    titleColor: currentColor,
    domainColor: currentColor,
    tickColor: currentColor,
    gridColor: currentColor,
    gridOpacity: 0.15,
    titleFontWeight: 'normal' as const,
    labelFontSize: 11,
    titleFontSize: 12,
    labelLimit: 130,
  },
  legend: {
    labelColor: currentColor,
    titleColor: currentColor,
    labelFontSize: 11,
    labelLimit: 0,
    symbolStrokeWidth: 2,
    symbolOpacity: 1,
  },
}

const size = { width: 270, height: 180 }

export type Point = {
  readonly series: string
  readonly x: number
  readonly y: number
  /** absent: no band */
  readonly low?: number
  readonly high?: number
}

export type Level = Pick<Point, 'series' | 'y'>

export type Axis = { readonly title: string; readonly logarithmic?: boolean; readonly values?: ReadonlyArray<number> }

/** 1000 → 1k; 0.68 stays, and so does the 1 of an axis that has no other number. In Vega's own language. */
const shortNumber = "format(datum.value, abs(datum.value) >= 1000 ? '~s' : '~g')"

/** Letters of one line of a legend. */
const legendWidth = 44

/** In lines between its words, so that a long name is read whole. */
const inLines = (name: string): string =>
  name.split(' ').reduce((lines, word) => {
    const last = lines.slice(lines.lastIndexOf('\n') + 1)
    return lines === '' ? word : `${lines}${last.length + word.length >= legendWidth ? '\n' : ' '}${word}`
  }, '')

/** Lines over x with bands from low to high; dots too where there are few of them; `levels`: lines across, of what has no x. */
export const lineChart = (given: ReadonlyArray<Point>, x: Axis, y: Axis, givenLevels: ReadonlyArray<Level> = []): TopLevelSpec => {
  const points = given.map((point) => ({ ...point, series: inLines(point.series) }))
  const levels = givenLevels.map((level) => ({ ...level, series: inLines(level.series) }))
  const names = [...new Set([...points, ...levels].map(({ series }) => series))]
  const few = points.length <= 30 * names.length
  // on a logarithmic scale that also has zero and negative numbers, the powers of ten are the places to read
  const symmetric = { type: 'symlog' as const, constant: 1 }
  const yAxis = y.logarithmic === true ? { values: powersOfTen(points), labelExpr: shortNumber } : { labelExpr: shortNumber }
  const xScale = x.values === undefined ? { zero: false, nice: false } : { type: 'log' as const, base: 2, nice: false }
  const encoding = {
    x: {
      field: 'x',
      type: 'quantitative' as const,
      title: x.title,
      scale: xScale,
      axis: x.values === undefined ? { tickCount: 5, labelExpr: shortNumber } : { values: [...x.values], labelExpr: shortNumber },
    },
    color: {
      field: 'series',
      type: 'nominal' as const,
      scale: { domain: names, range: names.map((_, i) => seriesColors[i % seriesColors.length] ?? '') },
      legend: { title: null, orient: 'bottom' as const, columns: 1, symbolType: 'stroke' as const },
    },
  }
  const dash = {
    field: 'series',
    type: 'nominal' as const,
    scale: { domain: names, range: names.map((_, i) => dashes[i % dashes.length] ?? [1, 0]) },
  }
  const value = {
    field: 'y',
    type: 'quantitative' as const,
    title: y.title,
    scale: { zero: false, ...(y.logarithmic === true ? symmetric : {}) },
    axis: { tickCount: 5, ...yAxis },
  }
  const banded = points.filter(({ low, high }) => low !== undefined && high !== undefined && low < high)
  return {
    ...size,
    config,
    layer: [
      ...(banded.length === 0
        ? []
        : [
            {
              data: { values: [...points] },
              mark: { type: 'area' as const, opacity: 0.2 },
              encoding: { ...encoding, y: { ...value, field: 'low' }, y2: { field: 'high' } },
            },
          ]),
      ...(points.length === 0
        ? []
        : [
            {
              data: { values: [...points] },
              mark: { type: 'line' as const, strokeWidth: 1.8, ...(few ? { point: { size: 28, filled: true } } : {}) },
              encoding: { ...encoding, y: value, strokeDash: dash },
            },
          ]),
      ...(levels.length === 0
        ? []
        : [
            {
              data: { values: [...levels] },
              mark: { type: 'rule' as const, strokeWidth: 1.8 },
              encoding: { color: encoding.color, strokeDash: dash, y: value },
            },
          ]),
    ],
  }
}

/** 0 and ±1, ±10, … as far as the points reach: on both sides at most eight. */
const powersOfTen = (points: ReadonlyArray<Point>): number[] => {
  const [least, most] = [Math.min(0, ...points.map(({ low, y }) => low ?? y)), Math.max(0, ...points.map(({ high, y }) => high ?? y))]
  const upTo = (end: number): ReadonlyArray<number> => {
    const powers = Array.from({ length: Math.max(0, Math.floor(Math.log10(Math.max(end, 0.1))) + 1) }, (_, i) => 10 ** i)
    const every = Math.ceil(powers.length / 5)
    return powers.filter((_, i) => i % every === 0)
  }
  return [...upTo(-least).map((power) => -power), 0, ...upTo(most)]
}

export type Tile = { readonly row: string; readonly column: string; readonly value: number }

/** Rows by columns, dark to bright, each with its number: whole where it is, else with one digit. */
export const heatMapChart = (
  tiles: ReadonlyArray<Tile>,
  rows: { readonly title: string; readonly order: ReadonlyArray<string> },
  columns: { readonly title: string; readonly order: ReadonlyArray<string> },
): TopLevelSpec => {
  const most = Math.max(1, ...tiles.map(({ value }) => value))
  const place = {
    x: {
      field: 'column',
      type: 'nominal' as const,
      title: columns.title === '' ? null : columns.title,
      sort: [...columns.order],
      axis: { labelAngle: -40, orient: 'top' as const },
    },
    y: { field: 'row', type: 'nominal' as const, title: rows.title, sort: [...rows.order] },
  }
  return {
    width: Math.max(120, Math.min(270, 44 * columns.order.length)),
    height: Math.min(600, 18 * rows.order.length),
    config,
    data: {
      values: tiles.map((tile) => ({
        ...tile,
        text: Number.isInteger(tile.value) ? String(tile.value) : tile.value.toFixed(1),
        bright: tile.value > 0.6 * most,
      })),
    },
    layer: [
      {
        mark: { type: 'rect' as const },
        encoding: {
          ...place,
          color: { field: 'value', type: 'quantitative' as const, scale: { scheme: 'viridis' as const, domain: [0, most] }, legend: null },
        },
      },
      {
        mark: { type: 'text' as const, fontSize: 10 },
        encoding: {
          ...place,
          text: { field: 'text', type: 'nominal' as const },
          color: { field: 'bright', type: 'nominal' as const, scale: { domain: [true, false], range: ['#111', '#fff'] }, legend: null },
        },
      },
    ],
    resolve: { scale: { color: 'independent' as const } },
  }
}

/** A name as part of a file's name. */
export const slug = (text: string): string =>
  escapeText(text)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 60) || 'panel'

/** What is told where more series or panels are there than fit. */
export const notShown = (count: number, what: string): string =>
  count === 0 ? '' : ` ${count} more ${what} are in the numbers below, not in the drawing.`
