/** The panels of a figure: how many there are, what their files are called, and what a caption says about the rest. */
import { escapeText } from './escapeText.js'

/** Maximum number of panels in one figure. */
export const panelLimit = 12

/** A name as part of a file name: letters, digits and hyphens. */
export const slug = (text: string): string =>
  escapeText(text)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 60) || 'panel'

/** A caption's sentence about series or panels beyond the limits. */
export const omittedSentence = (count: number, noun: string): string =>
  count <= 0 ? '' : ` The chart omits ${count} more ${noun}; the numbers below include them.`

/** A number in an alternative text, which may be read aloud. */
export const spokenNumber = (value: number): string => String(Number(value.toPrecision(4)))
