/** Errors of the operating system (no permission, no space, a broken disk), recognized by their codes. They say nothing about a file's content. */
import { InputError, reason } from './inputError.js'
import type { Text } from './words.js'

/** An InputError whose cause is the operating system. The content of the file is then unknown. */
export class SystemError extends InputError {
  constructor(
    where: Text,
    expected: Text,
    got: Text,
    /** `EACCES`, `ENOSPC`, … */
    readonly code: string,
  ) {
    super(where, expected, got, 'world')
  }
}

/** The code of a system error, such as `EACCES`; null for any other thrown value. */
export const systemCode = (thrown: unknown): string | null => {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return null
  return typeof thrown.code === 'string' && /^E[A-Z0-9]+$/.test(thrown.code) ? thrown.code : null
}

/** Whether the error means that the file does not exist. After any other error, it may exist. */
export const isAbsent = (thrown: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(systemCode(thrown) ?? '')

/** An InputError for any thrown value: a SystemError for a system error, and an InputError unchanged. */
export const systemInputError = (where: Text, expected: Text, thrown: unknown, got: Text = reason(thrown)): InputError => {
  if (thrown instanceof InputError) return thrown
  const code = systemCode(thrown)
  return code === null ? new InputError(where, expected, got) : new SystemError(where, expected, got, code)
}

/** What system calls do, where their names are no words. */
const verbs: Readonly<Record<string, string>> = {
  scandir: 'list',
  lstat: 'look up',
  stat: 'look up',
  mkdir: 'make',
  rmdir: 'remove',
  unlink: 'remove',
}

/** An unhandled system error as an InputError about its file; any other value unchanged. */
export const describeSystemError = (thrown: unknown): unknown => {
  if (systemCode(thrown) === null) return thrown
  const { path, syscall } = thrown as NodeJS.ErrnoException
  const verb = verbs[syscall ?? ''] ?? syscall ?? 'open'
  return systemInputError(path ?? 'salora', `to ${verb}${path === undefined ? '' : ' it'}`, thrown)
}

const explanations: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'the disk quota used up',
  EIO: 'an error of the disk',
  EACCES: 'no permission to write there',
  EPERM: 'no permission to write there',
  EBUSY: 'a file that another program has open',
  EROFS: 'a read-only disk',
  EMFILE: 'too many open files (ulimit -n)',
  ENFILE: 'too many open files on this machine',
  ENOENT: 'a missing folder',
  ENOTDIR: 'a file where a folder should be',
  EISDIR: 'a folder of that name',
}

/** An InputError for a failed write, with the system's error in words. */
export const writeError = (path: string, thrown: unknown): InputError => {
  const code = systemCode(thrown) ?? ''
  const explanation = explanations[code]
  return systemInputError(path, 'to write the file', thrown, explanation === undefined ? reason(thrown) : `${explanation} (${code})`)
}

/** What keeps a part of salora or one of its libraries from loading, in one line. */
export class LoadingError extends InputError {}

const tooFew = 'more open files must be allowed: ulimit -n'
const advice: Readonly<Record<string, string>> = {
  EMFILE: tooFew,
  ENFILE: 'the machine has too many open files',
  ERR_MODULE_NOT_FOUND: `not installed, or ${tooFew}`, // Node also reports a file as missing that it may not open
}

/** A LoadingError for an import that failed; any other value unchanged. */
export const describeLoadingError = (thrown: unknown): unknown => {
  if (!(thrown instanceof Error) || !('code' in thrown)) return thrown
  const remedy = advice[String(thrown.code)]
  const isImport = thrown.code === 'ERR_MODULE_NOT_FOUND' || !('path' in thrown) || /\.[cm]?js$|package\.json$/.test(String(thrown.path))
  if (remedy === undefined || !isImport) return thrown
  return new LoadingError('salora', 'its own files and libraries', `${reason(thrown).split(' imported from ')[0]} (${remedy})`)
}
