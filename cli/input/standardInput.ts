/** Standard input of a command. Node reads a folder there as an empty text, so it is refused here. */
import { fstatSync } from 'node:fs'
import { inputError } from '../../accelerated/errors/inputError.js'

/** The bytes of standard input. @throws InputError if it is a folder */
export const standardInput = (): NodeJS.ReadStream => {
  const { stdin } = process
  if (isFolder(stdin.fd)) throw inputError('standard input', 'a text (from a pipe, or < FILE)', 'a folder')
  return stdin
}

/** A stream that is no file of the system has no number, and a closed one no status. */
const isFolder = (fd: number | undefined): boolean => {
  try {
    return fd !== undefined && fstatSync(fd).isDirectory()
  } catch {
    return false
  }
}
