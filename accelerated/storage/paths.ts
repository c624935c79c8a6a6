/** Paths of a storage: names between slashes, on every system. */

/** `folder/name`, without a second slash. */
export const joinPath = (folder: string, ...names: ReadonlyArray<string>): string =>
  names.reduce((path, name) => (path === '' || path.endsWith('/') ? `${path}${name}` : `${path}/${name}`), folder)

/** The name after the last slash. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** The path before the last slash; '' for a name alone. */
export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))
