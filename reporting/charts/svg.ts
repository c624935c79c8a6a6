/** The pieces of a chart in SVG: the frame, texts, lines and legends. Every text is escaped here. Axes and texts use `currentColor`. */
import { escapeHtml } from '../../evaluation/tables/tableText.js'
import { seriesColor, seriesDash } from './chart.js'

// resvg does not know system-ui, so fonts that Linux has come before the generic name
const fontFamily = 'system-ui, Roboto, Noto Sans, DejaVu Sans, Liberation Sans, Arial, sans-serif'
const fontSize = 11

/** Pixels. Without a canvas, a text's width is an estimate. */
export const textWidth = (text: string): number => 0.61 * fontSize * [...text].length

/** A coordinate with a tenth of a pixel. */
export const px = (value: number): string => String(Number(value.toFixed(1)))

export const svg = (width: number, height: number, content: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${px(width)}" height="${px(height)}" viewBox="0 0 ${px(width)} ${px(height)}" fill="none" font-family="${fontFamily}" font-size="${fontSize}">${content}</svg>`

type TextOptions = {
  readonly anchor?: 'start' | 'middle' | 'end'
  readonly opacity?: number
  /** degrees */
  readonly turn?: number
}

export const text = (x: number, y: number, content: string, { anchor = 'start', opacity, turn }: TextOptions = {}): string =>
  `<text x="${px(x)}" y="${px(y)}" fill="currentColor"${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}` +
  `${opacity === undefined ? '' : ` fill-opacity="${opacity}"`}` +
  `${turn === undefined ? '' : ` transform="rotate(${turn} ${px(x)} ${px(y)})"`}>${escapeHtml(content)}</text>`

/** A horizontal line of an axis. */
export const gridLine = (x1: number, x2: number, y: number, opacity = 0.12): string =>
  `<path d="M${px(x1)},${px(y)}H${px(x2)}" stroke="currentColor" stroke-opacity="${opacity}"/>`

/** The color and the dashes of a series. */
export const stroke = (i: number): string =>
  `stroke="${seriesColor(i)}"${seriesDash(i) === '' ? '' : ` stroke-dasharray="${seriesDash(i)}"`}`

/** Breaks a long name between its words; a word that is longer than a line is broken too. */
const wrap = (name: string, width: number): readonly string[] => {
  const letters = Math.max(8, Math.floor(width / textWidth('x')))
  const lines: string[] = []
  for (const word of name.split(' ').flatMap((one) => one.match(new RegExp(`.{1,${letters}}`, 'gsu')) ?? [''])) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > letters) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

/** Pixels of a line's sample beside its name. */
export const swatch = 16
const [gap, lineHeight] = [6, 16]

/** Names beside each other as far as they fit, from the upper left corner. A single line needs no legend. */
export const legend = (names: readonly string[], width: number): { readonly content: string; readonly height: number } => {
  if (names.length < 2) return { content: '', height: 0 }
  let [left, top] = [0, 0]
  const parts = names.flatMap((name, i) => {
    const lines = wrap(name, width - swatch - gap)
    const entryWidth = swatch + gap + Math.max(...lines.map(textWidth)) + 14
    if (left > 0 && left + entryWidth > width) [left, top] = [0, top + lineHeight]
    const [x, middle] = [left + swatch + gap, top + lineHeight / 2]
    const drawn = [
      `<path d="M${px(left)},${px(middle)}h${swatch}" stroke-width="2.5" ${stroke(i)}/>`,
      ...lines.map((line, row) => text(x, middle + 4 + row * lineHeight, line)),
    ]
    if (lines.length > 1) [left, top] = [0, top + lines.length * lineHeight]
    else left += entryWidth
    return drawn
  })
  return { content: parts.join(''), height: left > 0 ? top + lineHeight : top }
}
