/** The digests of a model's files are those of their current bytes, whatever was cached. */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { modelDigests } from '../../../accelerated/checkpoints/fingerprint.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { writeTinyModel } from '../../cli/tinyModel.js'

let folder = ''
beforeAll(async () => {
  folder = await writeTinyModel(join(await mkdtemp(join(tmpdir(), 'salora-digests-')), 'tiny'))
})
afterAll(() => rm(join(folder, '..'), { recursive: true }))

const sha256 = async (name: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(join(folder, name)))
    .digest('hex')

describe('the digests of a model', () => {
  it('follow a file that changed to the same size and has its old time stamp', async () => {
    const model = await openModelFolder(folder)
    const weights = join(folder, 'model.safetensors')
    const date = new Date('2020-01-01') // whole seconds, which come back as they were
    await utimes(weights, date, date)
    const before = await modelDigests(model)
    expect(before['model.safetensors']).toBe(await sha256('model.safetensors'))
    expect(before['config.json']).toBe(await sha256('config.json'))
    const bytes = await readFile(weights)
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
    await writeFile(weights, bytes)
    await utimes(weights, date, date)
    const after = await modelDigests(model)
    expect(after['model.safetensors']).toBe(await sha256('model.safetensors'))
    expect(after['model.safetensors']).not.toBe(before['model.safetensors'])
    expect({ ...after, 'model.safetensors': '' }).toEqual({ ...before, 'model.safetensors': '' })
  })
})
