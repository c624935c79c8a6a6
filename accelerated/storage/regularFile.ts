/** Regular files of the disk: a pipe or a device is refused, because reading it could wait forever or never end. */
import { constants } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { inputError } from '../errors/inputError.js'
import { systemInputError } from '../errors/systemError.js'

/** Without this flag, opening a pipe waits for a writer. Systems that lack the flag lack these pipes. */
const nonBlocking = constants.O_NONBLOCK ?? 0

/** Whether the path is a regular file, or a link to one. */
export const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  )

/** Opens `file` for reading; the caller closes it. @throws InputError if it is absent, not permitted, or not a regular file */
export const openRegularFile = async (file: string): Promise<{ readonly handle: FileHandle; readonly size: number }> => {
  const handle = await open(file, constants.O_RDONLY | nonBlocking).catch((thrown: unknown) => {
    throw systemInputError(file, 'a readable file', thrown)
  })
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw inputError(file, 'a regular file', stats.isDirectory() ? 'a folder' : 'a pipe, a device or a socket')
    return { handle, size: stats.size }
  } catch (thrown) {
    await handle.close()
    throw thrown
  }
}

/** Opens the file, reads with `read` and closes it. @throws InputError if the system reports an error */
export const withRegularFile = async <T>(file: string, read: (handle: FileHandle, size: number) => Promise<T>): Promise<T> => {
  const { handle, size } = await openRegularFile(file)
  try {
    return await read(handle, size)
  } catch (thrown) {
    throw systemInputError(file, 'a readable file', thrown)
  } finally {
    await handle.close()
  }
}

/** Exactly `length` bytes from `position`, alone in their ArrayBuffer. @throws InputError if the file ends before */
export const readBytes = async (handle: FileHandle, file: string, position: number, length: number): Promise<Buffer<ArrayBuffer>> => {
  const bytes = Buffer.alloc(length) // never from Node's pool, unlike allocUnsafe
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled)
    if (bytesRead === 0) throw inputError(file, `${position + length} bytes`, `${position + filled} (the file is truncated)`)
    filled += bytesRead
  }
  return bytes
}
