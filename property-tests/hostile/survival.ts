/** What a reader may do with hostile bytes: read them, or refuse them in one line, in bounded time and memory, without changing a file. */
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { isExpected } from '../../accelerated/errors/expectedErrors.js'

/** Milliseconds that a file of a few kilobytes may take; the machine may be busy. */
const patience = 5_000

/** Bytes beyond what was held before; the files are a few kilobytes. */
const memory = 256 * 2 ** 20

export type Count = { read: number; refused: number; slowest: number; largest: number }
export const newCount = (): Count => ({ read: 0, refused: 0, slowest: 0, largest: 0 })

const held = (): number => {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
}

/** Runs one case and checks all of that; counts it. Anything but a value or one line is the test's failure. */
export const survives = async (count: Count, read: () => Promise<unknown>): Promise<void> => {
  const before = held()
  const began = performance.now()
  try {
    await read()
    count.read++
  } catch (thrown) {
    if (!isExpected(thrown)) throw thrown
    const { message } = thrown as Error
    expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
    expect(message.length).toBeLessThan(2_500)
    count.refused++
  }
  const [time, grown] = [performance.now() - began, held() - before]
  count.slowest = Math.max(count.slowest, time)
  count.largest = Math.max(count.largest, grown)
  expect(time).toBeLessThan(patience)
  expect(grown).toBeLessThan(memory)
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
}

/** Names, kinds and contents of everything below a folder. */
export const treeOf = async (folder: string): Promise<readonly string[]> => {
  const files = await Promise.all(
    (await readdir(folder)).sort().map(async (name): Promise<readonly string[]> => {
      const path = join(folder, name)
      const kind = await lstat(path)
      if (kind.isDirectory()) return [name, ...(await treeOf(path)).map((inner) => `${name}/${inner}`)]
      return [
        `${name}: ${kind.isSymbolicLink() ? await readlink(path) : kind.isFile() ? (await readFile(path)).toString('latin1') : 'other'}`,
      ]
    }),
  )
  return files.flat()
}
