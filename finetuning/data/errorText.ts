/** How a mistake in a file of examples is worded: the row it stands in, and names in a list. */
import type { InputError } from '../../accelerated/errors/inputError.js'

/** `FILE, row 12`: the line of the file, counted from 1 as an editor does, its header included. */
export const atRow = (file: string, row: number): string => `${file}, row ${row}`

/** `a, b or c`; after `most` names, how many more there are. */
export const oneOf = (names: ReadonlyArray<string>, most = 12): string => {
  if (names.length > most) return `${names.slice(0, most).join(', ')} or ${names.length - most} more`
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}

/** A mistake by its former name, and its line. */
export type Problem = InputError
export const describeProblem = ({ message }: InputError): string => message
