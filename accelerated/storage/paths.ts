/** Paths of a storage: names between slashes, on every system. */

/** `folder/name`, without a second slash. */
export const joinPath = (folder: string, ...names: ReadonlyArray<string>): string =>
  names.reduce((path, name) => (path === '' || path.endsWith('/') ? `${path}${name}` : `${path}/${name}`), folder)

/** The name after the last slash. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** The path before the last slash; '' for a name alone. */
export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))

/** A name without the `.gz` of a packed file: `reviews.csv` for `reviews.csv.gz`. What a file holds is the ending of this name. */
export const unpackedName = (path: string): string => path.replace(/(?<=[^/\\])\.gz$/i, '')

/** The ending of a name from its last dot on, as `.csv`; '' without a dot, and for a name that begins with its only dot. */
export const endingOf = (path: string): string => {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
  const dot = name.lastIndexOf('.')
  return dot <= 0 || name === '..' ? '' : name.slice(dot)
}
