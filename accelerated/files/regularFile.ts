/** Opens what must be a plain file: a pipe or a device of that name is refused instead of waited for. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { FileError, fileError, reason } from './fileError.js'

/** Without it, opening a pipe waits for a writer; systems that lack the flag lack such pipes. */
const withoutWaiting = constants.O_NONBLOCK ?? 0

/** Opens `file` for reading. Throws FileError: absent, not allowed, or no plain file. The caller closes. */
export const openRegularFile = async (file: string): Promise<{ readonly handle: FileHandle; readonly size: number }> => {
  const handle = await open(file, constants.O_RDONLY | withoutWaiting).catch((thrown: unknown) => {
    throw fileError(file, 'a readable file', reason(thrown))
  })
  try {
    const found = await handle.stat()
    if (!found.isFile()) throw fileError(file, 'a plain file', found.isDirectory() ? 'a folder' : 'a pipe, a device or a socket')
    return { handle, size: found.size }
  } catch (thrown) {
    await handle.close()
    throw thrown
  }
}

/** Runs `read` on the opened file and closes it; what the system says goes into one line. Throws FileError. */
export const withRegularFile = async <T>(file: string, read: (handle: FileHandle, size: number) => Promise<T>): Promise<T> => {
  const { handle, size } = await openRegularFile(file)
  try {
    return await read(handle, size)
  } catch (thrown) {
    throw thrown instanceof FileError ? thrown : fileError(file, 'a readable file', reason(thrown))
  } finally {
    await handle.close()
  }
}

/** Exactly `length` bytes from `position`. Throws FileError if the file ends before. */
export const readBytes = async (handle: FileHandle, file: string, position: number, length: number): Promise<Buffer> => {
  const bytes = Buffer.alloc(length)
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled)
    if (bytesRead === 0) throw fileError(file, `${position + length} bytes`, `${position + filled} (the file is cut short)`)
    filled += bytesRead
  }
  return bytes
}
