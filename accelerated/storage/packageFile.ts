/** Files of this package that are not compiled: compiled code finds them beside `dist`. */
import { fileURLToPath } from 'node:url'

const root = new URL(import.meta.url.includes('/dist/') ? '../../../' : '../../', import.meta.url)

/** The absolute path of a file or folder of the package. @param path from the package's root */
export const packageFile = (path: string): string => fileURLToPath(new URL(path, root))
