/** Renames on Windows wait for a program that has the file open; elsewhere, and for other errors, the first error is final. */
import { describe, expect, it } from 'vitest'
import { renameFile } from '../../../accelerated/storage/atomicFile.js'

/** A system whose renames fail with these codes, one after another, and then succeed. */
const failing = (platform: NodeJS.Platform, ...codes: readonly string[]) => {
  const asked: string[] = []
  const rename = async (from: string, to: string): Promise<void> => {
    const code = codes[asked.push(`${from} ${to}`) - 1]
    if (code !== undefined) throw Object.assign(new Error(code), { code })
  }
  return { asked, system: { rename, platform, pauses: [1, 1, 1] } }
}

describe('a rename', () => {
  it('is tried again on Windows while another program has the file open', async () => {
    const { asked, system } = failing('win32', 'EPERM', 'EACCES', 'EBUSY')
    await renameFile('a', 'b', system)
    expect(asked).toEqual(['a b', 'a b', 'a b', 'a b'])
  })

  it('fails on Windows with the last error if the file stays open', async () => {
    const { asked, system } = failing('win32', 'EBUSY', 'EBUSY', 'EBUSY', 'EPERM')
    await expect(renameFile('a', 'b', system)).rejects.toThrow('EPERM')
    expect(asked).toHaveLength(4)
  })

  it.each<readonly [NodeJS.Platform, string]>([
    ['win32', 'ENOENT'],
    ['win32', 'EXDEV'],
    ['linux', 'EPERM'],
    ['darwin', 'EACCES'],
  ])('fails at once on %s with %s', async (platform, code) => {
    const { asked, system } = failing(platform, code)
    await expect(renameFile('a', 'b', system)).rejects.toThrow(code)
    expect(asked).toHaveLength(1)
  })
})
