/** The place of an error in a file of examples. */

/** `FILE, row 12`: the line of the file, counted from 1 as in an editor, its header included. */
export const atRow = (file: string, row: number): string => `${file}, row ${row}`
