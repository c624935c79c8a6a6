/** Files that the board reads whole: their size is bounded, and a changed file has a new stamp. */
import { lstat } from 'node:fs/promises'
import { inputError } from '../../accelerated/errors/inputError.js'

/** Maximum bytes: ranks of a thousand layers need 1 MB. A larger file would delay all other runs. */
const sizeLimit = 2_000_000

/** Changes whenever the file changes. */
export const stampOf = async (file: string): Promise<string> => {
  const stats = await lstat(file).catch(() => null)
  return stats === null ? '-' : `${stats.ino} ${stats.size} ${stats.mtimeMs}`
}

/** @throws InputError if the file is too large */
export const readSmallFile = async <Content>(file: string, read: () => Promise<Content>): Promise<Content> => {
  const { size } = (await lstat(file).catch(() => null)) ?? { size: 0 }
  if (size > sizeLimit) throw inputError(file, `at most ${sizeLimit} bytes to be shown on a board`, `${size}`)
  return read()
}
