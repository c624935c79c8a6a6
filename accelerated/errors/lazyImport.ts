/** Parts that are loaded when they are needed. Where one does not load, a line says what is in the way. */
import { InputError, reason } from './inputError.js'

export class LoadingError extends InputError {}

const advice: Readonly<Record<string, string>> = {
  EMFILE: 'more open files must be allowed: ulimit -n',
  ENFILE: 'the machine has too many open files',
  ERR_MODULE_NOT_FOUND: 'not installed, or more open files must be allowed: ulimit -n',
}

/** @throws LoadingError in place of whatever the import failed with */
export const lazyImport = <Part>(part: Promise<Part>): Promise<Part> =>
  part.catch((thrown: unknown) => {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
    const remedy = advice[code]
    if (remedy === undefined) throw thrown
    throw new LoadingError('salora', 'its own files and libraries', `${reason(thrown).split(' imported from ')[0]} (${remedy})`)
  })

/** Zod is sixty files that load at once: alone and before the rest, so that 128 open files are enough for all. */
export const preloadZod = (): Promise<unknown> => lazyImport(import('zod'))
