/** The names that the hub allows for models, datasets and revisions. */

/** OWNER/NAME or NAME, as the hub allows: letters, digits, `-`, `_` and `.`, without `--` or `..`, and without `-` or `.` at either end. */
export const isHubId = (name: string): boolean =>
  name.split('/').length <= 2 &&
  name.split('/').every((part) => /^\w([\w.-]{0,94}\w)?$/.test(part)) &&
  !name.includes('--') &&
  !name.includes('..')

export const isRevision = (name: string): boolean => /^\w[\w.-]{0,200}$/.test(name) && !name.includes('..')
