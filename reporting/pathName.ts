/** Names of paths of any system: a report may be of a run from elsewhere, and be made in a browser. */
import { groupBy } from './groupBy.js'

/** The last name of a path; with a depth, its last names. */
export const pathName = (path: string, depth = 1): string =>
  path
    .split(/[\\/]/)
    .filter((name) => name !== '')
    .slice(-depth)
    .join('/')

/** A name for each path: the last one, after the folders that distinguish it from the others. */
export const pathNames = (paths: Iterable<string>): ReadonlyMap<string, string> => {
  const names = new Map<string, string>()
  const name = (alike: ReadonlyArray<string>, depth: number): void => {
    for (const [end, group] of groupBy(alike, (path) => pathName(path, depth))) {
      const isWhole = group.every((path) => pathName(path, depth + 1) === end)
      if (group.length > 1 && !isWhole) name(group, depth + 1)
      else for (const path of group) names.set(path, isWhole && group.length > 1 ? path : end)
    }
  }
  name([...new Set(paths)], 1)
  return names
}
