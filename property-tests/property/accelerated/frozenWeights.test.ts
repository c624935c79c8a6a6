/** Frozen weights are read from the checkpoint's own file, also through links, as long as it is the file that was opened. */
import { mkdir, rename, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { frozenWeights, weightSource } from '../../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { mul } from '../../../accelerated/graph/operators.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('frozen')

const name = 'encoder.layer.1.output.dense.weight'

describe('frozen weights', () => {
  it("are read through a link into the hub's cache", async () => {
    const cache = join(root, 'models--me--tiny')
    const snapshot = await writeTinyModel(join(cache, 'snapshots', 'r1'))
    await mkdir(join(cache, 'blobs'))
    await rename(join(snapshot, 'model.safetensors'), join(cache, 'blobs', 'abc'))
    await symlink('../../blobs/abc', join(snapshot, 'model.safetensors'))
    const model = await openModelFolder(snapshot)
    const session = await cpu.engine({ threads: 1 }).open({ y: mul(frozenWeights(model, 'float32')(name), 2) }, weightSource(model))
    const { y } = await session.run({})
    const entry = model.tensors.get(name)
    expect(entry).toBeDefined()
    if (entry !== undefined) expect(y).toEqual((await readTensor(entry)).map((x) => 2 * x))
    await session.release()
  })

  it.each([
    ['another file of its name', (file: string, other: string) => rename(other, file)],
    ['a file written to since', (file: string) => utimes(file, 1, 1)],
  ])('are refused from %s', async (_, change) => {
    const [folder, other] = [join(root, `m${change.length}`), join(root, `o${change.length}`)]
    for (const each of [folder, other]) await writeTinyModel(each)
    const source = weightSource(await openModelFolder(folder))
    expect(await source()).toBe(folder)
    await change(join(folder, 'model.safetensors'), join(other, 'model.safetensors'))
    await expect(source()).rejects.toThrow(
      `${join(folder, 'model.safetensors')}: expected the weights that were there at the start, got a file changed since`,
    )
  })
})
