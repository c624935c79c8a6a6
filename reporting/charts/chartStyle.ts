/** The look of all charts. Axes and text use `currentColor`, so a chart is legible on the page's light and dark background. */

/** Contrast of at least 3 : 1 on white and on the page's dark background (WCAG 2.2, 1.4.11). */
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

/** Dash patterns distinguish series for readers who cannot distinguish the colors. */
const dashes = [
  [1, 0],
  [6, 2],
  [2, 2],
  [8, 2, 2, 2],
  [4, 4],
]

/** Maximum number of series in one panel: colors repeat beyond it. */
export const seriesLimit = seriesColors.length

/** Vega-Lite scales that give each series a color and a dash pattern. */
export const seriesScales = (names: ReadonlyArray<string>) => ({
  color: { domain: [...names], range: names.map((_, i) => seriesColors[i % seriesColors.length] ?? '') },
  dash: { domain: [...names], range: names.map((_, i) => dashes[i % dashes.length] ?? [1, 0]) },
})

const currentColor = 'currentColor'

/** Vega-Lite's configuration of every chart. */
export const chartConfig = {
  lineBreak: '\n',
  aria: false, // the page has an alternative text of its own
  background: 'transparent',
  // resvg does not know system-ui, so fonts that Linux has come before the generic name
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
