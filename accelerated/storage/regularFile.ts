/** Opens what must be a plain file: a pipe or a device of that name is refused instead of waited for. */
import { constants } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { inputError } from '../errors/inputError.js'
import { systemInputError } from '../errors/systemError.js'

/** Without it, opening a pipe waits for a writer; systems that lack the flag lack such pipes. */
const withoutWaiting = constants.O_NONBLOCK ?? 0

/** Whether there is a plain file, or a link to one. */
export const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  )

/** Opens `file` for reading. Throws Mistake: absent, not allowed, or no plain file. The caller closes. */
export const openRegularFile = async (file: string): Promise<{ readonly handle: FileHandle; readonly size: number }> => {
  const handle = await open(file, constants.O_RDONLY | withoutWaiting).catch((thrown: unknown) => {
    throw systemInputError(file, 'a readable file', thrown)
  })
  try {
    const found = await handle.stat()
    if (!found.isFile()) throw inputError(file, 'a plain file', found.isDirectory() ? 'a folder' : 'a pipe, a device or a socket')
    return { handle, size: found.size }
  } catch (thrown) {
    await handle.close()
    throw thrown
  }
}

/** Runs `read` on the opened file and closes it; what the system says goes into one line. Throws Mistake. */
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

/** Exactly `length` bytes from `position`, alone in their ArrayBuffer. Throws Mistake if the file ends before. */
export const readBytes = async (handle: FileHandle, file: string, position: number, length: number): Promise<Buffer<ArrayBuffer>> => {
  const bytes = Buffer.alloc(length) // never from Node's pool, unlike allocUnsafe
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled)
    if (bytesRead === 0) throw inputError(file, `${position + length} bytes`, `${position + filled} (the file is cut short)`)
    filled += bytesRead
  }
  return bytes
}
