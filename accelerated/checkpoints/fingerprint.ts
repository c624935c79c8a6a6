/** A run's fingerprint: everything that its numbers follow from, by name. Differences of two fingerprints go into messages. */

/** JSON values. Files and lists of rows have their digests here. */
export type Fingerprint = Readonly<Record<string, unknown>>

/** A fingerprint without some names. */
export const without = (names: readonly string[], fingerprint: Fingerprint): Fingerprint =>
  Object.fromEntries(Object.entries(fingerprint).filter(([name]) => !names.includes(name)))

/**
 * The differences of two fingerprints, in words. A name that `before` lacks is no difference if it has its default now: a later version added
 * that setting.
 */
export const differing = (before: Fingerprint, after: Fingerprint, defaults: Fingerprint = {}): readonly string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => !same(before[key], after[key]) && !isNewDefault(key, before, after, defaults))
    .map((key) => `${key} was ${showValue(before[key])} and is ${showValue(after[key])}`)

/** The names that `before` lacks and that have their default now. */
export const newDefaults = (before: Fingerprint, after: Fingerprint, defaults: Fingerprint): readonly string[] =>
  Object.keys(after).filter((key) => isNewDefault(key, before, after, defaults))

const isNewDefault = (key: string, before: Fingerprint, after: Fingerprint, defaults: Fingerprint): boolean =>
  before[key] === undefined && Object.hasOwn(defaults, key) && same(after[key], defaults[key])

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Shows the first twelve digits of a digest. */
const showValue = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').replaceAll(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, '$1…')
