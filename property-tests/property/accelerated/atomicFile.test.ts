/** Atomic writes: after any failure the old file is intact, and no temporary file remains. */
import { open, readFile, readdir, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { writeFileAtomically, type FileSystem } from '../../../accelerated/storage/atomicFile.js'
import { InputError } from '../../../accelerated/errors/inputError.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('atomic')
let path = ''
beforeAll(async () => {
  path = join(folder, 'result.json')
})
beforeEach(() => writeFile(path, 'old'))

const failure = (code: string): Error => Object.assign(new Error(`${code}: from the system`), { code })

type Step = 'open' | 'write' | 'sync' | 'close' | 'rename'

/** A file system that fails with `code` at one step (at the second write, after some bytes are out). */
const failingAt = (step: Step, code: string): FileSystem => {
  let writes = 0
  const failIf = (now: boolean) => {
    if (now) throw failure(code)
  }
  return {
    open: async (name, flags) => {
      failIf(step === 'open')
      const handle = await open(name, flags)
      return {
        write: async (bytes) => {
          failIf(step === 'write' && writes++ > 0)
          return handle.write(bytes.subarray(0, Math.max(1, bytes.length >> 1)))
        },
        sync: async () => {
          failIf(step === 'sync')
          await handle.sync()
        },
        close: async () => {
          await handle.close()
          failIf(step === 'close')
        },
      }
    },
    rename: async (from, to) => {
      failIf(step === 'rename')
      await rename(from, to)
    },
    unlink,
  }
}

describe(`writing files atomically (seed ${SEED})`, () => {
  it('the file has exactly the given bytes, even if the system writes them in small parts', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 5 }), async (pieces) => {
        const content = Buffer.concat(pieces)
        await writeFileAtomically(path, pieces)
        expect(await readFile(path)).toEqual(content)
        await writeFileAtomically(path, content)
        expect(await readFile(path)).toEqual(content)
        expect(await readdir(folder)).toEqual(['result.json'])
      }),
      { seed: SEED, numRuns: 30 },
    ))

  it('text is written as UTF-8, and partial writes are completed', async () => {
    const halves: FileSystem = { open: failingAt('rename', 'never').open, rename, unlink }
    await writeFileAtomically(path, 'naïve – ≠', halves)
    expect(await readFile(path, 'utf8')).toBe('naïve – ≠')
  })

  it.each<readonly [Step, string, string]>([
    ['open', 'EACCES', 'no permission to write there (EACCES)'],
    ['open', 'EROFS', 'a read-only disk (EROFS)'],
    ['write', 'ENOSPC', 'no space left on the disk (ENOSPC)'],
    ['sync', 'ENOSPC', 'no space left on the disk (ENOSPC)'],
    ['close', 'EDQUOT', 'the disk quota used up (EDQUOT)'],
    ['rename', 'EISDIR', 'a folder of that name (EISDIR)'],
    ['write', 'EIO', 'an error of the disk (EIO)'],
    ['rename', 'EBUSY', 'a file that another program has open (EBUSY)'],
    ['write', 'EDOM', 'EDOM: from the system'],
  ])('if %s fails with %s, the old file stays and no temporary file remains', async (step, code, got) => {
    const thrown: unknown = await writeFileAtomically(path, 'new content', failingAt(step, code)).catch((error: unknown) => error)
    expect(thrown).toBeInstanceOf(InputError)
    expect((thrown as Error).message).toBe(`${path}: expected to write the file, got ${got}`)
    expect(await readFile(path, 'utf8')).toBe('old')
    expect(await readdir(folder)).toEqual(['result.json'])
  })

  it('if the content fails midway, its own error is thrown and the old file stays', async () => {
    async function* source() {
      yield Buffer.from('new')
      throw new RangeError('source')
    }
    await expect(writeFileAtomically(path, source())).rejects.toThrow(RangeError)
    expect(await readFile(path, 'utf8')).toBe('old')
    expect(await readdir(folder)).toEqual(['result.json'])
  })

  it('names a folder that does not exist', async () => {
    const lost = join(folder, 'none', 'x.json')
    await expect(writeFileAtomically(lost, '')).rejects.toThrow(`${lost}: expected to write the file, got a missing folder (ENOENT)`)
  })

  it('one of two concurrent writers wins entirely', async () => {
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(10_000))
    await Promise.all(contents.map((content) => writeFileAtomically(path, content)))
    expect(contents).toContain(await readFile(path, 'utf8'))
    expect(await readdir(folder)).toEqual(['result.json'])
  })
})
