/** A text file of the disk, read at once: GLUE's files are read where nothing can wait. */
import { readFileSync, statSync } from 'node:fs'
import { inputError } from '../../accelerated/errors/inputError.js'
import { textIn } from './textFile.js'
import { MAXIMUM_BYTES, tooLarge } from './textPieces.js'

/** The bytes of a UTF-8 file without byte-order mark. @throws InputError as `readUtf8` */
export const readLocalText = (file: string): Buffer => {
  const stat = readable(file, () => statSync(file, { throwIfNoEntry: false }))
  if (stat === undefined) throw inputError(file, 'a file', 'none there')
  if (stat.isDirectory()) throw inputError(file, 'a file', 'a folder')
  if (!stat.isFile()) throw inputError(file, 'a regular file', 'a device or a pipe')
  if (stat.size > MAXIMUM_BYTES) throw tooLarge(file, stat.size)
  return textIn(
    file,
    readable(file, () => readFileSync(file)),
  )
}

/** @throws InputError with the system's code if `read` throws */
const readable = <T>(file: string, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw inputError(file, 'a file that can be read', `an error of the system (${code})`)
  }
}
