/** InputError: the user's input is wrong. One line names the place, the expected input, and the actual one. */
import { inStyle, mapText, words, type OptionStyle, type Text } from './words.js'

/** An error that a user can repair. Its message is one line for a program; `lineIn` writes the options in it as another reader does. */
export class UserError extends Error {
  /** not enumerable, so that Node prints an error as its message */
  declare readonly line: Text

  constructor(line: Text) {
    super(String(line))
    Object.defineProperty(this, 'line', { value: line })
  }

  lineIn(style: OptionStyle): string {
    return inStyle(this.line, style)
  }
}

/** What is wrong, what was expected, and what is there. */
export type Mistake = { readonly where: Text; readonly expected: Text; readonly got: Text }

/** An error of the user's input, unlike a programmer's error. Its message is the line `where: expected …, got …`. */
export class InputError extends UserError {
  override readonly name = 'InputError'
  /** the file, folder, URL or option that is wrong; it and the others as a program reads them */
  readonly where: string
  readonly expected: string
  readonly got: string
  declare readonly mistake: Mistake

  /** `kind`: whether the command line is wrong ('usage', the default if `where` is an option), or a file or machine that it names ('world'). */
  constructor(
    where: Text,
    expected: Text,
    got: Text,
    readonly kind: 'usage' | 'world' = isOption(where) ? 'usage' : 'world',
  ) {
    const mistake = { where: mapText(where, oneLine), expected: mapText(expected, printed), got: mapText(got, printed) }
    super(words`${mistake.where}: expected ${mistake.expected}, got ${mistake.got}`)
    Object.defineProperty(this, 'mistake', { value: mistake })
    this.where = String(mistake.where)
    this.expected = String(mistake.expected)
    this.got = String(mistake.got)
  }
}

/** A flag of a command that is no option of the library is written as it is typed. */
const isOption = (where: Text): boolean => (typeof where === 'string' ? /^--[a-z-]+$/.test(where) : where.isOption)

/** A file that an open model or run still reads is no longer what it was: later numbers would be others. */
export class ChangedFileError extends InputError {}

/** An InputError with the message `where: expected …, got …`. */
export const inputError = (where: Text, expected: Text, got: Text): InputError => new InputError(where, expected, got)

/** Text from a file may be long. A thousand characters of it are enough for a message. */
const printed = (text: string): string => {
  const line = oneLine(text)
  return line.length > 1_000 ? `${line.slice(0, 1_000)}…` : line
}

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
export const formatValue = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  return typeof value === 'number' ? String(value) : quoted(toJson(value)).slice(1, -1)
}

/** JSON, also of what has none: a circle, or a bigint within. */
const toJson = (value: unknown): string => {
  try {
    return JSON.stringify(value)
  } catch {
    return 'an object'
  }
}
