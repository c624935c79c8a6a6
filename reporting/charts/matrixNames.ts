/** Adapted matrices as tables of ranks show them: the layer, and within it a title of a word or two. */

/** BERT's matrices, whose last names say too little; of others the last name does, unless two matrices share it. */
const titles: Readonly<Record<string, string>> = {
  'attention.self.query': 'query',
  'attention.self.key': 'key',
  'attention.self.value': 'value',
  'attention.output.dense': 'attention output',
  'intermediate.dense': 'intermediate',
  'output.dense': 'output',
}

/** Titles of matrices by their names within a layer. */
export const matrixTitles = (columns: ReadonlyArray<string>): ReadonlyMap<string, string> => {
  const last = (column: string): string => column.split('.').at(-1) ?? column
  const isShared = (column: string): boolean => columns.filter((other) => last(other) === last(column)).length > 1
  const titleOf = (column: string): string | undefined => (Object.hasOwn(titles, column) ? titles[column] : undefined)
  return new Map(columns.map((column) => [column, titleOf(column) ?? (isShared(column) ? column : last(column))]))
}

/** The layer of a matrix and its name within it; a name that has no layer is all of its name, and its layer null. */
export const matrixPlace = (name: string): { readonly layer: number | null; readonly column: string } => {
  const [, layer, column] = /^\D*\.(\d+)\.(.*)$/.exec(name) ?? []
  return layer === undefined || column === undefined ? { layer: null, column: name } : { layer: Number(layer), column }
}
