/** The last name of a path of any system: a report may be of a run from elsewhere, and be made in a browser. */
export const pathName = (path: string): string =>
  path
    .split(/[\\/]/)
    .filter((name) => name !== '')
    .at(-1) ?? ''
