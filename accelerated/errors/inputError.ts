/** InputError: the user's input is wrong. One line names the place, the expected input, and the actual one. */

/** An error that the user can fix, unlike a programmer's error. Its message is the line `where: expected …, got …`. */
export class InputError extends Error {
  override readonly name = 'InputError'
  /** the file, folder, URL or flag that is wrong */
  readonly where: string
  readonly expected: string
  readonly got: string

  /** `kind`: whether the command line is wrong ('usage', the default if `where` is a flag), or a file or machine that it names ('world'). */
  constructor(
    where: string,
    expected: string,
    got: string,
    readonly kind: 'usage' | 'world' = /^--[a-z-]+$/.test(where) ? 'usage' : 'world',
  ) {
    const parts = { where: oneLine(where), expected: cut(oneLine(expected)), got: cut(oneLine(got)) }
    super(`${parts.where}: expected ${parts.expected}, got ${parts.got}`)
    this.where = parts.where
    this.expected = parts.expected
    this.got = parts.got
  }
}

/** A file that an open model or run still reads is no longer what it was: later numbers would be others. */
export class ChangedFileError extends InputError {}

/** An InputError with the message `where: expected …, got …`. */
export const inputError = (where: string, expected: string, got: string): InputError => new InputError(where, expected, got)

/** Text from a file may be long. A thousand characters of it are enough for a message. */
const cut = (text: string): string => (text.length > 1_000 ? `${text.slice(0, 1_000)}…` : text)

/** The message of any thrown value, and of its cause, on one line. */
export const reason = (thrown: unknown): string => {
  // Not instanceof: an error may come from another realm (node:vm).
  if (typeof thrown !== 'object' || thrown === null || !('message' in thrown)) return oneLine(String(thrown))
  // An error of several attempts (such as IPv4 and IPv6) has a code and no message.
  const message = String(thrown.message || ('code' in thrown ? thrown.code : 'unknown error'))
  return oneLine('cause' in thrown && thrown.cause !== undefined ? `${message}: ${reason(thrown.cause)}` : message)
}

/**
 * Escapes control characters of untrusted text, so that a message stays one line and cannot control a terminal. Those that embed, override or
 * isolate a direction (U+202A to U+202E, U+2066 to U+2069) would show the rest of a line in another order.
 */
export const oneLine = (text: string): string =>
  text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** Untrusted text in quotes, cut to a readable length between characters. */
export const quoted = (text: string, limit = 80): string => {
  const characters = Array.from(text.slice(0, 2 * limit + 2))
  return `"${characters.length > limit ? `${characters.slice(0, limit).join('')}…` : text}"`
}

/** A JSON value in a message, cut to a readable length. */
export const shown = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  return typeof value === 'number' ? String(value) : quoted(jsonOf(value)).slice(1, -1)
}

/** JSON, also of what has none: a circle, or a bigint within. */
const jsonOf = (value: unknown): string => {
  try {
    return JSON.stringify(value)
  } catch {
    return 'an object'
  }
}
