/** What keeps a part of salora or one of its libraries from loading, in one line. */
import { InputError, reason } from './inputError.js'

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
