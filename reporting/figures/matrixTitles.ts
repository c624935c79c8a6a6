/** Short titles of a model's matrices, for columns of a table, and the layers that the matrices belong to. */

/** BERT's matrices, whose last name parts are ambiguous. Other matrices have their last name part as title, unless two share it. */
const titles: Readonly<Record<string, string>> = {
  'attention.self.query': 'query',
  'attention.self.key': 'key',
  'attention.self.value': 'value',
  'attention.output.dense': 'attention output',
  'intermediate.dense': 'intermediate',
  'output.dense': 'output',
}

/** Titles of matrices, by their names within a layer. */
export const matrixTitles = (columns: readonly string[]): ReadonlyMap<string, string> => {
  const last = (column: string): string => column.split('.').at(-1) ?? column
  const isShared = (column: string): boolean => columns.filter((other) => last(other) === last(column)).length > 1
  const formatTitle = (column: string): string | undefined => (Object.hasOwn(titles, column) ? titles[column] : undefined)
  return new Map(columns.map((column) => [column, formatTitle(column) ?? (isShared(column) ? column : last(column))]))
}

/** The layer of a matrix, and its name within the layer. A matrix outside of layers has layer null and its full name. */
export const matrixPlace = (name: string): { readonly layer: number | null; readonly column: string } => {
  const [, layer, column] = /^\D*\.(\d+)\.(.*)$/.exec(name) ?? []
  return layer === undefined || column === undefined ? { layer: null, column: name } : { layer: Number(layer), column }
}
