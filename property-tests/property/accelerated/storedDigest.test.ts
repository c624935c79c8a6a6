/** A stored digest is used for the file it was computed from and for no other, and nothing in the cache stops a run. */
import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { modelDigests } from '../../../accelerated/checkpoints/fingerprint.js'
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { nodeFiles } from '../../../accelerated/storage/nodeFiles.js'
import { storedSha256 } from '../../../accelerated/storage/digests.js'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'salora-digest-'))
  await writeFile(file(), 'weights')
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})
const file = (): string => join(folder, 'model.safetensors')
const cache = (): string => join(folder, 'cache', 'digests')
const digest = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex')
const computed = (): Promise<string> => storedSha256(file(), cache(), 1)

/** As if the file had changed long ago: nobody can set back the time of a change of attributes. */
const later = (): void => void vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 10_000)
const stored = async (): Promise<string> => {
  const [name = '', ...others] = await readdir(cache())
  expect(others).toEqual([])
  return join(cache(), name)
}
const planted = 'f'.repeat(64)

describe('a stored digest', () => {
  it('is kept and used for the same file', async () => {
    later()
    expect(await computed()).toBe(digest('weights'))
    expect(await readFile(await stored(), 'latin1')).toBe(digest('weights'))
    await writeFile(await stored(), planted)
    expect(await computed()).toBe(planted)
  })

  it('is not used for a file of the same size and the same time stamp that was written later', async () => {
    later()
    const date = new Date('2020-01-01')
    await utimes(file(), date, date)
    await computed()
    await writeFile(await stored(), planted)
    await writeFile(file(), 'WEIGHTS')
    await utimes(file(), date, date)
    expect(await computed()).toBe(digest('WEIGHTS'))
  })

  it('is not used for another file', async () => {
    later()
    await computed()
    await writeFile(await stored(), planted)
    const other = join(folder, 'other.safetensors')
    await writeFile(other, 'weights')
    expect(await storedSha256(other, cache(), 1)).toBe(digest('weights'))
  })

  it('serves a link to the file, as a snapshot of the hub has it', async () => {
    later()
    await computed()
    await writeFile(await stored(), planted)
    await symlink(file(), join(folder, 'link'))
    expect(await storedSha256(join(folder, 'link'), cache(), 1)).toBe(planted)
  })

  it('is not kept of a file that changed within the last seconds', async () => {
    expect(await computed()).toBe(digest('weights'))
    expect(await readdir(folder)).toEqual(['model.safetensors'])
  })

  it('is not kept of a small file', async () => {
    later()
    expect(await storedSha256(file(), cache(), 8)).toBe(digest('weights'))
    expect(await readdir(folder)).toEqual(['model.safetensors'])
  })

  it.each(['', 'f'.repeat(63), `${planted}\n`, 'F'.repeat(64), 'f'.repeat(1_000_000)])(
    'is replaced if it is damaged (%#)',
    async (text) => {
      later()
      await computed()
      await writeFile(await stored(), text)
      expect(await computed()).toBe(digest('weights'))
      expect(await readFile(await stored(), 'latin1')).toBe(digest('weights'))
    },
  )

  it('is computed each time if a folder is in its place, or a file in the place of the cache', async () => {
    later()
    await computed()
    const place = await stored()
    await rm(place)
    await mkdir(place)
    expect(await computed()).toBe(digest('weights'))
    await rm(cache(), { recursive: true })
    await writeFile(cache(), '')
    expect(await computed()).toBe(digest('weights'))
  })

  it('is computed each time if the cache cannot be written', async () => {
    later()
    await mkdir(cache(), { recursive: true })
    await chmod(cache(), 0o500)
    expect(await computed()).toBe(digest('weights'))
    await chmod(cache(), 0o700)
  })

  it('of a missing file is an error in one line', async () => {
    await expect(storedSha256(join(folder, 'missing'), cache(), 1)).rejects.toThrow(/missing: expected a readable file/)
  })

  it("serves a model's large weights in the cache that SALORA_CACHE names", async () => {
    later()
    vi.stubEnv('SALORA_CACHE', join(folder, 'named'))
    await truncate(file(), 2 ** 26)
    const tensors = new Map([['w', { file: file() }]])
    const model = { folder, tensors, others: new Map(), storage: nodeFiles } as unknown as ModelFolder
    const { 'model.safetensors': ofWeights } = await modelDigests(model)
    expect(ofWeights).toBe(digest(await readFile(file())))
    const [name = ''] = await readdir(join(folder, 'named', 'salora-digests'))
    expect(await readFile(join(folder, 'named', 'salora-digests', name), 'latin1')).toBe(ofWeights)
  })
})
