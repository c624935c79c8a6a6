/** A mistake in a file or a folder that the user named: one line that says which, what was expected and what was found. */

/** Thrown for what the user can repair (a wrong file), as opposed to a programmer's error. Its message is one line. */
export class FileError extends Error {
  override readonly name = 'FileError'
}

/** `where: expected …, found …` as an error to throw. */
export const fileError = (where: string, expected: string, found: string): FileError =>
  new FileError(`${oneLine(where)}: expected ${cut(oneLine(expected))}, found ${cut(oneLine(found))}`)

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

/** A quoted piece of untrusted text, cut to a readable length. */
export const quoted = (text: string, limit = 80): string => `"${text.length > limit ? `${text.slice(0, limit)}…` : text}"`
