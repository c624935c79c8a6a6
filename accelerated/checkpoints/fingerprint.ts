/** A run's fingerprint: by name, everything that its numbers follow from. What two of them have in other values is what to tell a user. */

/** Values are those of JSON; a file or a list of rows stands there by its digest. */
export type Fingerprint = Readonly<Record<string, unknown>>

/** A fingerprint without what is named. */
export const without = (names: ReadonlyArray<string>, fingerprint: Fingerprint): Fingerprint =>
  Object.fromEntries(Object.entries(fingerprint).filter(([name]) => !names.includes(name)))

/**
 * What was one thing and is another, in words. What `before` lacks is no difference where it has the value of `defaults` now: a version that
 * came after it brought that setting.
 */
export const differing = (before: Fingerprint, after: Fingerprint, defaults: Fingerprint = {}): ReadonlyArray<string> =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => !same(before[key], after[key]) && !isNewDefault(key, before, after, defaults))
    .map((key) => `${key} was ${worded(before[key])} and is ${worded(after[key])}`)

/** Names that `before` lacks and that have their default now. */
export const newDefaults = (before: Fingerprint, after: Fingerprint, defaults: Fingerprint): ReadonlyArray<string> =>
  Object.keys(after).filter((key) => isNewDefault(key, before, after, defaults))

const isNewDefault = (key: string, before: Fingerprint, after: Fingerprint, defaults: Fingerprint): boolean =>
  before[key] === undefined && Object.hasOwn(defaults, key) && same(after[key], defaults[key])

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Of a digest, twelve digits are enough to tell it by. */
const worded = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').replaceAll(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, '$1…')
