/** Problem: one mistake in what the user gave, told in one line that says where, what was expected and what was found. */

import { oneLine } from '../../accelerated/files/fileError.js'

export type Problem = {
  /** The file or the flag that is at fault. */
  readonly where: string
  /** The line of the file, counted from 1 as an editor does, its header included. */
  readonly row?: number
  readonly expected: string
  readonly found: string
}

/** `FILE, row 12: expected a label of cola (0 or 1), found "2"`. */
export const describeProblem = ({ where, row, expected, found }: Problem): string =>
  oneLine(`${where}${row === undefined ? '' : `, row ${row}`}: expected ${expected}, found ${found}`)

const LONGEST_QUOTE = 60 // characters of the user's text that one line has room for

/** The user's own text in double quotes, on one line, cut after 60 characters. */
export const quoted = (text: string): string => {
  const characters = Array.from(text.slice(0, 2 * LONGEST_QUOTE))
  return JSON.stringify(characters.length > LONGEST_QUOTE ? `${characters.slice(0, LONGEST_QUOTE).join('')}…` : text)
}

const MOST_LISTED = 12

/** `a, b or c`; after twelve names, how many more there are. */
export const oneOf = (names: ReadonlyArray<string>): string => {
  if (names.length > MOST_LISTED) return `${names.slice(0, MOST_LISTED).join(', ')} or ${names.length - MOST_LISTED} more`
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}

/** `the columns "a", "b"`, or that there is none. */
export const columnsFound = (names: ReadonlyArray<string>): string => {
  const more = names.length > MOST_LISTED ? ` and ${names.length - MOST_LISTED} more` : ''
  return names.length === 0 ? 'no columns' : `the columns ${names.slice(0, MOST_LISTED).map(quoted).join(', ')}${more}`
}
