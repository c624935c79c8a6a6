/** Rows of text in aligned columns: numbers to the right, names to the left. */

/** @param left numbers of the columns that are aligned to the left */
export const alignedTable = (
  rows: ReadonlyArray<ReadonlyArray<string>>,
  { left = [0] }: { readonly left?: ReadonlyArray<number> } = {},
): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0))
  return rows.map((row) =>
    row
      .map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
