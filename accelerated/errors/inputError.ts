/** Mistake: something that the user gave is wrong, told in one line that says where, what was expected and what was got. */

/** Thrown for what the user can repair, as opposed to a programmer's error. Its message is the line `where: expected …, got …`. */
export class InputError extends Error {
  override readonly name = 'InputError'
  /** the file, the folder, the address or the flag that is at fault */
  readonly where: string
  readonly expected: string
  readonly got: string

  /** `kind` says who is to blame: what was typed ('usage'), as where a flag itself is named, or the files and machines it means ('world'). */
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

/** `where: expected …, got …` as an error to throw. */
export const inputError = (where: string, expected: string, got: string): InputError => new InputError(where, expected, got)

/** Whatever a file put into a message: a thousand characters are enough to know it by. */
const cut = (text: string): string => (text.length > 1_000 ? `${text.slice(0, 1_000)}…` : text)

/** The message of whatever was thrown, and of its cause, on one line. */
export const reason = (thrown: unknown): string => {
  // not instanceof: an error may come from another realm (node:vm)
  if (typeof thrown !== 'object' || thrown === null || !('message' in thrown)) return oneLine(String(thrown))
  // an error of several attempts (an address in both families, say) has a code and no message
  const message = String(thrown.message || ('code' in thrown ? thrown.code : 'unknown error'))
  return oneLine('cause' in thrown && thrown.cause !== undefined ? `${message}: ${reason(thrown.cause)}` : message)
}

/** Control characters of untrusted text are shown escaped, so that a message stays one line and cannot steer a terminal. */
export const oneLine = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** A quoted piece of untrusted text, cut to a readable length between its characters. */
export const quoted = (text: string, limit = 80): string => {
  const characters = Array.from(text.slice(0, 2 * limit + 2))
  return `"${characters.length > limit ? `${characters.slice(0, limit).join('')}…` : text}"`
}

/** A JSON value in a message, cut to a readable length. */
export const shown = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return quoted(value)
  return typeof value === 'number' ? String(value) : quoted(JSON.stringify(value)).slice(1, -1)
}
