/** Loads what every run needs in two parts. Node opens all files of a part at once, and so 128 open files are enough. */
import { lazyImport } from '../../accelerated/errors/lazyImport.js'

/** Before anything that imports the tasks. @throws LoadingError */
export const loadTasksInParts = async (): Promise<void> => {
  await lazyImport(import('../tokens/textTokens.js'))
  await lazyImport(import('./index.js'))
}
