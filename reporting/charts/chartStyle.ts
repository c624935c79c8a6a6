/** The look of all charts. Axes and text use `currentColor`, so a chart is legible on the page's light and dark background. */

/** The one accent color, of pages and of the first series. The colors have a contrast of at least 3 : 1 on both backgrounds (WCAG 2.2, 1.4.11). */
export const accent = '#3f6fe8'

export const seriesColors = [
  accent,
  '#d1631a',
  '#2a9154',
  '#c2489c',
  '#a07a10',
  '#8a6fd0',
  '#18919c',
  '#d84848',
  '#7a8088',
  '#5f8f1f',
] as const

/** Dash patterns distinguish series for readers who cannot distinguish the colors. */
const dashes = ['', '6 2', '2 2', '8 2 2 2', '4 4'] as const

/** Maximum number of series in one panel: colors repeat beyond it. */
export const seriesLimit = seriesColors.length

export const seriesColor = (i: number): string => seriesColors[i % seriesColors.length] ?? accent
export const seriesDash = (i: number): string => dashes[i % dashes.length] ?? ''

// resvg does not know system-ui, so fonts that Linux has come before the generic name
export const fontFamily = 'system-ui, Roboto, Noto Sans, DejaVu Sans, Liberation Sans, Arial, sans-serif'
