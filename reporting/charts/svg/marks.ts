/** The pieces of a chart in SVG: the frame, texts, lines and legends. Every text is escaped here. */
import { fontFamily } from '../chartStyle.js'
import { escapeHtml } from '../escapeHtml.js'

export const fontSize = 11

/** Without a canvas, a text's width is an estimate. */
export const textWidth = (text: string, size = fontSize): number => 0.61 * size * [...text].length

/** A coordinate with a tenth of a pixel. */
export const px = (value: number): string => String(Number(value.toFixed(1)))

export const svg = (width: number, height: number, content: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${px(width)}" height="${px(height)}" viewBox="0 0 ${px(width)} ${px(height)}" fill="none" font-family="${fontFamily}" font-size="${fontSize}">${content}</svg>`

export type TextOptions = {
  readonly anchor?: 'start' | 'middle' | 'end'
  readonly opacity?: number
  readonly weight?: number
  /** degrees */
  readonly turn?: number
}

export const text = (x: number, y: number, content: string, { anchor = 'start', opacity, weight, turn }: TextOptions = {}): string =>
  `<text x="${px(x)}" y="${px(y)}" fill="currentColor"${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}` +
  `${opacity === undefined ? '' : ` fill-opacity="${opacity}"`}${weight === undefined ? '' : ` font-weight="${weight}"`}` +
  `${turn === undefined ? '' : ` transform="rotate(${turn} ${px(x)} ${px(y)})"`}>${escapeHtml(content)}</text>`

export const gridLine = (x1: number, y1: number, x2: number, y2: number, opacity = 0.12): string =>
  `<path d="M${px(x1)} ${px(y1)}L${px(x2)} ${px(y2)}" stroke="currentColor" stroke-opacity="${opacity}"/>`

/** A polyline. A gap is where a position is not finite. */
export const pathOf = (points: ReadonlyArray<readonly [x: number, y: number]>): string => {
  let isOpen = false
  return points
    .map(([x, y]) => {
      if (!Number.isFinite(x) || !Number.isFinite(y)) {
        isOpen = false
        return ''
      }
      const command = isOpen ? 'L' : 'M'
      isOpen = true
      return `${command}${px(x)} ${px(y)}`
    })
    .join('')
}

/** Breaks a long name between its words; a word that is longer than a line is broken too. */
export const wrap = (name: string, width: number): ReadonlyArray<string> => {
  const letters = Math.max(8, Math.floor(width / textWidth('x')))
  const lines: string[] = []
  for (const word of name.split(' ').flatMap((one) => chunks(one, letters))) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > letters) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

const chunks = (word: string, letters: number): ReadonlyArray<string> => {
  const characters = [...word]
  return Array.from({ length: Math.max(1, Math.ceil(characters.length / letters)) }, (_, i) =>
    characters.slice(i * letters, (i + 1) * letters).join(''),
  )
}

export type LegendEntry = { readonly name: string; readonly color: string; readonly dash: string }

const [swatch, gap, lineHeight] = [16, 6, 16]

/** Entries beside each other as far as they fit, in a block that starts at (x, 0). A single entry without a name needs no legend. */
export const legend = (
  entries: ReadonlyArray<LegendEntry>,
  x: number,
  width: number,
): { readonly content: string; readonly height: number } => {
  let [left, top] = [x, 0]
  const parts: string[] = []
  for (const { name, color, dash } of entries) {
    const lines = wrap(name, width - swatch - gap)
    const entryWidth = swatch + gap + Math.max(...lines.map((line) => textWidth(line))) + 14
    if (left > x && left + entryWidth > x + width) [left, top] = [x, top + lineHeight]
    const middle = top + lineHeight / 2
    parts.push(
      `<path d="M${px(left)} ${px(middle)}h${swatch}" stroke="${color}" stroke-width="2.5"${dash === '' ? '' : ` stroke-dasharray="${dash}"`}/>`,
      ...lines.map((line, i) => text(left + swatch + gap, middle + 4 + i * lineHeight, line)),
    )
    if (lines.length > 1) [left, top] = [x, top + lines.length * lineHeight]
    else left += entryWidth
  }
  return { content: parts.join(''), height: entries.length === 0 ? 0 : left > x ? top + lineHeight : top }
}
