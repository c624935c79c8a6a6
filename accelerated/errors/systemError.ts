/** Errors of the system (no permission, no space, a broken disk): known by their codes, worded in one place, and never taken for a file's own fault. */
import { InputError, reason } from './inputError.js'

/** A mistake whose cause is the system: what a file holds is not known then, and must not be guessed. */
export class SystemError extends InputError {
  constructor(
    where: string,
    expected: string,
    found: string,
    /** `EACCES`, `ENOSPC`, … */
    readonly code: string,
  ) {
    super(where, expected, found, 'world')
  }
}

/** The system's code of whatever was thrown, `EACCES` say; null where it is none of the system's errors. */
export const systemCode = (thrown: unknown): string | null => {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return null
  return typeof thrown.code === 'string' && /^E[A-Z0-9]+$/.test(thrown.code) ? thrown.code : null
}

/** Whether it says that there is no such file; anything else means that there may be one. */
export const isAbsent = (thrown: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(systemCode(thrown) ?? '')

/** `where: expected …, got …` of what was thrown, which is a SystemError where the system threw it. A Mistake is itself. */
export const systemInputError = (where: string, expected: string, thrown: unknown, found = reason(thrown)): InputError => {
  if (thrown instanceof InputError) return thrown
  const code = systemCode(thrown)
  return code === null ? new InputError(where, expected, found) : new SystemError(where, expected, found, code)
}

/** What the system threw and nobody put into words, as a Mistake about the file that it names; anything else as it is. */
export const describeSystemError = (thrown: unknown): unknown => {
  if (systemCode(thrown) === null) return thrown
  const { path, syscall } = thrown as NodeJS.ErrnoException
  return systemInputError(path ?? 'salora', `to ${syscall ?? 'open'}${path === undefined ? '' : ' it'}`, thrown)
}

const explained: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'the disk quota used up',
  EIO: 'an error of the disk',
  EACCES: 'no permission to write there',
  EPERM: 'no permission to write there',
  EROFS: 'a read-only disk',
  EMFILE: 'too many open files (ulimit -n)',
  ENFILE: 'too many open files on this machine',
  ENOENT: 'no such folder',
  ENOTDIR: 'a file where a folder should be',
  EISDIR: 'a folder of that name',
}

/** What the system said when a file could not be written, in one line. */
export const writeError = (path: string, thrown: unknown): InputError => {
  const code = systemCode(thrown) ?? ''
  const found = explained[code]
  return systemInputError(path, 'to write the file', thrown, found === undefined ? reason(thrown) : `${found} (${code})`)
}
