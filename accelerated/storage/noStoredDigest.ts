/** In place of storedDigest.ts in a browser, which keeps no digests of the files of a disk. */
import { fileSha256 } from './sha256.js'

export const storedSha256 = (path: string): Promise<string> => fileSha256(path)

/** None is kept. */
export const knownSha256 = async (): Promise<null> => null
