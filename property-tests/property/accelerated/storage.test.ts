/** The Storage port: what the disk and the storage in memory promise alike. */
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isAbsent } from '../../../accelerated/errors/systemError.js'
import { InputError } from '../../../accelerated/errors/inputError.js'
import { readText } from '../../../accelerated/storage/text.js'
import { fileInFolder } from '../../../accelerated/storage/paths.js'
import { memoryStorage } from '../../../accelerated/storage/memory.js'
import { nodeFiles } from '../../../accelerated/storage/nodeFiles.js'
import { fileSha256 } from '../../../accelerated/storage/digests.js'
import { withFile, type Storage } from '../../../accelerated/storage/storage.js'
import { SEED } from '../../support/seed.js'

const roots: Record<string, string> = { disk: '', memory: '/root' }
const storages: Readonly<Record<string, Storage>> = { disk: nodeFiles, memory: memoryStorage() }
beforeAll(async () => {
  roots['disk'] = await realpath(await mkdtemp(join(tmpdir(), 'salora-storage-')))
  await storages['memory']?.makeFolder('/root')
})
afterAll(() => rm(roots['disk'] ?? '', { recursive: true }))

const bytesAt = (storage: Storage, path: string): Promise<Uint8Array> =>
  withFile(storage, path, async ({ size, read }) => Uint8Array.from(await read(0, size)))

describe('a link in a folder', () => {
  it('may lead to another file of the folder, but not to one of a folder whose name begins like its own', async () => {
    const at = (...path: readonly string[]): string => join(roots['disk'] ?? '', 'links', ...path)
    await mkdir(at('b'), { recursive: true })
    await mkdir(at('bc'))
    for (const [folder, name] of [
      ['b', 'file'],
      ['bc', 'secret'],
    ] as const)
      await writeFile(at(folder, name), name)
    await symlink('file', at('b', 'inside'))
    await symlink('../bc/secret', at('b', 'outside'))
    expect(await fileInFolder(at('b'), 'inside')).toBe(at('b', 'inside'))
    await expect(fileInFolder(at('b'), 'outside')).rejects.toThrow(
      `${at('b', 'outside')}: expected a file within ${at('b')}, got a link to ${at('bc', 'secret')}`,
    )
    await expect(fileInFolder(at('b'), '../bc/secret')).rejects.toThrow(`expected a file within ${at('b')}`)
  })
})

describe.each(Object.keys(storages))('the storage of the %s', (name) => {
  const storage = storages[name] as Storage
  const at = (...path: readonly string[]): string => [roots[name], ...path].join('/')

  it(`returns the bytes that were written, in whatever chunks they come (seed ${SEED})`, () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 5 }), async (chunks) => {
        await storage.write(
          at('chunks'),
          (async function* () {
            const buffer = new Uint8Array(20) // reused, as a reader of a large file does
            for (const chunk of chunks) {
              buffer.set(chunk)
              yield buffer.subarray(0, chunk.length)
            }
          })(),
        )
        expect(await bytesAt(storage, at('chunks'))).toEqual(Uint8Array.from(chunks.flatMap((chunk) => [...chunk])))
      }),
      { seed: SEED, numRuns: 30 },
    ))

  it('returns a copy of what it holds, and holds a copy of what it was given', async () => {
    const given = Uint8Array.of(1, 2, 3)
    await storage.write(at('copy'), given)
    given[0] = 9
    const read = await bytesAt(storage, at('copy'))
    read[1] = 9
    expect(await bytesAt(storage, at('copy'))).toEqual(Uint8Array.of(1, 2, 3))
  })

  it('reads any part of a file into an ArrayBuffer of its own, and no byte beyond the end', async () => {
    await storage.write(at('parts'), 'abcdef')
    const file = await storage.open(at('parts'))
    const part = await file.read(2, 3)
    expect(new TextDecoder().decode(part.buffer)).toBe('cde')
    await expect(file.read(4, 3)).rejects.toThrow(`${at('parts')}: expected 7 bytes, got 6 (the file is truncated)`)
    await file.close()
  })

  it('keeps the old file if the content fails, and no part of the new one', async () => {
    await storage.write(at('whole'), 'old')
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1)
      throw new Error('no more')
    }
    const before = await storage.list(at())
    await expect(storage.write(at('whole'), failing())).rejects.toThrow('no more')
    expect(await readText(at('whole'), 10, storage)).toBe('old')
    expect((await storage.list(at())).toSorted()).toEqual(before.toSorted())
  })

  it('lists the names in a folder, and none for an absent one', async () => {
    await storage.makeFolder(at('list', 'deep', 'deeper'), { recursive: true })
    await storage.write(at('list', 'b'), '')
    await storage.write(at('list', 'deep', 'c'), '')
    expect((await storage.list(at('list'))).toSorted()).toEqual(['b', 'deep'])
    expect(await storage.list(at('none'))).toEqual([])
  })

  it('distinguishes files, folders and absent paths', async () => {
    await storage.makeFolder(at('kinds'))
    await storage.write(at('kinds', 'file'), 'abc')
    expect(await storage.stat(at('kinds', 'file'))).toMatchObject({ kind: 'file', size: 3 })
    expect(await storage.stat(at('kinds'))).toMatchObject({ kind: 'folder' })
    expect(await storage.stat(at('kinds', 'none'))).toBe(null)
  })

  it('gives a file another version when it is written or replaced, and only then', async () => {
    await storage.write(at('version'), 'abc')
    const first = await storage.stat(at('version'))
    expect(await storage.stat(at('version'))).toEqual(first)
    await storage.write(at('version'), 'abc')
    const second = await storage.stat(at('version'))
    expect(second?.version).not.toBe(first?.version)
    await storage.write(at('other'), 'abc')
    await storage.rename(at('other'), at('version'))
    expect((await storage.stat(at('version')))?.version).not.toBe(second?.version)
  })

  it('renames a file in place of another, and removes it; an absent file is removed already', async () => {
    await storage.write(at('from'), 'new')
    await storage.write(at('to'), 'old')
    await storage.rename(at('from'), at('to'))
    expect(await readText(at('to'), 10, storage)).toBe('new')
    expect(await storage.stat(at('from'))).toBe(null)
    await storage.remove(at('to'))
    await storage.remove(at('to'))
    expect(await storage.stat(at('to'))).toBe(null)
  })

  it('makes a folder only in an existing one unless it is recursive, and only once', async () => {
    await expect(storage.makeFolder(at('a', 'b'))).rejects.toThrow('ENOENT')
    await storage.makeFolder(at('a', 'b'), { recursive: true })
    await storage.makeFolder(at('a', 'b'), { recursive: true })
    await expect(storage.makeFolder(at('a', 'b'))).rejects.toThrow('EEXIST')
    await storage.write(at('a', 'file'), '')
    await expect(storage.makeFolder(at('a', 'file'), { recursive: true })).rejects.toThrow(InputError)
  })

  it('names what is wrong in one line: no file, no folder to write into, a folder in place of a file', async () => {
    await storage.makeFolder(at('folder'))
    const absent = await storage.open(at('none')).catch((thrown: unknown) => thrown)
    expect(absent).toMatchObject({ where: at('none'), expected: 'a readable file', code: 'ENOENT' })
    expect(isAbsent(absent)).toBe(true)
    await expect(storage.rename(at('none'), at('some'))).rejects.toMatchObject({ where: at('none'), code: 'ENOENT' })
    await expect(storage.realPath(at('none'))).rejects.toMatchObject({ where: at('none'), code: 'ENOENT' })
    await expect(storage.write(at('none', 'x'), '')).rejects.toThrow(
      `${at('none', 'x')}: expected to write the file, got a missing folder (ENOENT)`,
    )
    await expect(storage.write(at('folder'), '')).rejects.toThrow(
      `${at('folder')}: expected to write the file, got a folder of that name (EISDIR)`,
    )
    await expect(storage.open(at('folder'))).rejects.toThrow(`${at('folder')}: expected a regular file, got a folder`)
    await expect(storage.remove(at('folder'))).rejects.toMatchObject({ where: at('folder'), expected: 'a file that can be removed' })
  })

  it('serves what reads within bounds: a named file of a folder, its text, its digest', async () => {
    await storage.makeFolder(at('bounds'))
    await storage.write(at('bounds', 'text'), 'abc')
    expect(await fileInFolder(at('bounds'), 'text', storage)).toBe(at('bounds', 'text'))
    expect(await fileInFolder(at('bounds'), 'none', storage)).toBe(undefined)
    await expect(fileInFolder(at(), 'bounds', storage)).rejects.toThrow(`${at('bounds')}: expected a file, got something else`)
    await expect(readText(at('bounds', 'text'), 2, storage)).rejects.toThrow(`${at('bounds', 'text')}: expected at most 2 bytes, got 3`)
    expect(await fileSha256(at('bounds', 'text'), storage)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })
})
