/** GLUE's tab-separated values: a tab ends a cell, and a quotation mark is an ordinary character. */
import { lines } from './textFile.js'
import type { CellRecord } from './table.js'

const TAB = 0x09

/** The records of a UTF-8 text. In UTF-8 a tab byte is never part of another character, so bytes are split before they are decoded. */
export function* tabSeparated(bytes: Buffer): Generator<CellRecord> {
  for (const { row, start, end } of lines(bytes)) {
    const starts = [start]
    for (let tab = bytes.indexOf(TAB, start); tab !== -1 && tab < end; tab = bytes.indexOf(TAB, tab + 1)) starts.push(tab + 1)
    const cell = (column: number): string => {
      const next = starts[column + 1]
      return bytes.toString('utf8', starts[column], next === undefined ? end : next - 1)
    }
    yield { row, width: starts.length, cell }
  }
}
