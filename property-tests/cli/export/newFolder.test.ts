/** A new folder appears complete or not at all. */
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inNewFolder } from '../../../finetuning/use/newFolder.js'
import { canSeeHeldFiles, heldFiles } from '../../support/heldFiles.js'
import { at, exported, usePlace } from './folder.js'

usePlace()

describe('a new folder', () => {
  it('appears only when it is complete, with its parent folders', async () => {
    const output = at('one', 'two', 'three')
    expect(
      await inNewFolder(output, {}, async (stage) => {
        await writeFile(join(stage, 'a'), '')
        await expect(readdir(output)).rejects.toThrow('ENOENT')
        return 7
      }),
    ).toBe(7)
    expect(await readdir(output)).toEqual(['a'])
    expect(await readdir(at('one', 'two'))).toEqual(['three'])
  })

  it('may exist and be empty, and stays empty if writing fails', async () => {
    await mkdir(at('parent', 'empty'), { recursive: true })
    await expect(
      inNewFolder(at('parent', 'empty'), {}, async (stage) => {
        await mkdir(join(stage, 'half'))
        throw new Error('enough')
      }),
    ).rejects.toThrow('enough')
    expect(await readdir(at('parent'), { recursive: true })).toEqual(['empty'])
    await inNewFolder(at('parent', 'empty'), {}, (stage) => writeFile(join(stage, 'a'), ''))
    expect(await readdir(at('parent'), { recursive: true })).toEqual(['empty', join('empty', 'a')])
  })

  it('must not be a link to an input folder', async () => {
    await mkdir(at('mine'))
    await symlink(at('mine'), at('link'))
    for (const [output, other] of [
      ['mine', 'link'],
      ['link', 'mine'],
    ] as const) {
      const refused = inNewFolder(at(output), { "the model's folder": at(other) }, async () => 0)
      await expect(refused).rejects.toThrow(`output ${at(output)}: expected a folder of its own, got the model's folder`)
    }
  })
})

describe.skipIf(!canSeeHeldFiles)('an export', () => {
  it('has no file open or mapped when its folder gets its name, as Windows requires', async () => {
    await exported('roberta', 'merged', 'held')
    expect(heldFiles(at('held'))).toEqual([])
  })
})
