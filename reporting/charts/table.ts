/** A table of numbers and texts, as the pages show it and as CSV. Page scripts import this file, so it imports no file that needs Node. */

export type Cell = string | number | null

export type Table = { readonly columns: ReadonlyArray<string>; readonly rows: ReadonlyArray<ReadonlyArray<Cell>> }
