/** The precision int8: its files in the cache, of training and of generation, and what it refuses. */
import { chmod, mkdir, readdir, readFile, realpath, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { quantizedFile } from '../../../accelerated/precisions/int8/quantizedFile.js'
import { rowLayout, type LevelsType } from '../../../accelerated/precisions/int8/matrixLayouts.js'
import { int8, int8Blocks } from '../../../accelerated/precisions/int8/int8.js'
import { openFrozen } from '../../../accelerated/precisions/precision.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { fixtures } from '../../golden/golden.js'
import { temporaryCache } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryCache('int8')
const at = (...path: readonly string[]): string => join(root, ...path)
beforeAll(() => writeTinyModel(at('tiny')))

/** Opens the file of a model; its progress lines. */
const opened = async (cache: string, model = at('tiny'), largeFrom?: number, type: LevelsType = 'int8') => {
  const base = await openModelFolder(model)
  const opening = quantizedFile(base, rowLayout(base, type, largeFrom), cache)
  const lines: string[] = []
  for (;;) {
    const next = await opening.next()
    if (next.done === true) return { ...next.value, lines }
    lines.push(next.value)
  }
}

describe('the file of quantized weights', () => {
  it('has each matrix within half a level of its rows, and all other tensors unchanged', async () => {
    const base = await openModelFolder(at('tiny'))
    const { tensor, weights } = await openFrozen(int8, base)
    const session = await cpu
      .engine({ threads: 1 })
      .open(Object.fromEntries([...base.tensors.keys()].map((name) => [name, tensor(name)])), weights)
    const outputs = await session.run({})
    const matrices = base.model.spec.matrices.map(({ name }) => `${name}.weight`)
    for (const [name, entry] of base.tensors) {
      const W = await readTensor(entry)
      if (!matrices.includes(name)) expect(outputs[name], name).toEqual(W)
      else {
        const columns = entry.shape[1] ?? 1
        W.forEach((x, i) => {
          const row = W.subarray(i - (i % columns), i - (i % columns) + columns)
          expect(Math.abs(Number(outputs[name]?.[i]) - x)).toBeLessThanOrEqual((Math.max(...row.map(Math.abs)) / 127 / 2) * 1.0001)
        })
      }
    }
    await session.release()
  })

  it("is made once per content of the model's files, wherever they are", async () => {
    const first = await opened(at('once'))
    expect(first.lines).toEqual([`quantizing the matrices of ${at('tiny')}, once, into ${at('once', 'salora-int8')}`])
    const { mtimeMs } = await stat(first.file)
    await writeTinyModel(at('elsewhere'))
    const reopened = await opened(at('once'), at('elsewhere'))
    expect([reopened.file, reopened.lines, (await stat(reopened.file)).mtimeMs]).toEqual([first.file, [], mtimeMs])
    const { 'model.safetensors': weights } = { 'model.safetensors': await readFile(at('tiny', 'model.safetensors')) }
    weights[weights.length - 1] = (weights[weights.length - 1] ?? 0) ^ 1
    const other = await writeTinyModel(at('other'), { 'model.safetensors': weights })
    expect((await opened(at('once'), other)).file).not.toBe(first.file)
  })

  it.each<readonly [string, (file: string) => Promise<void>]>([
    ['cut short', (file) => truncate(file, 1000)],
    ['of other bytes', async (file) => writeFile(file, Buffer.from(await readFile(file)).fill(7, 2000, 2040))],
    ['of another kind', (file) => writeFile(file, 'hello')],
    ['without its checksum', (file) => rm(`${file}.sha256`)],
    ['with another’s checksum', (file) => writeFile(`${file}.sha256`, '0'.repeat(64))],
    ['left half-written', (file) => rename(file, `${file}.partial`)],
  ])('is made anew where it is %s', async (_, damage) => {
    const { file } = await opened(at('damaged'))
    const content = await readFile(file)
    await damage(file)
    expect((await opened(at('damaged'))).lines.length).toBe(1)
    expect((await readFile(file)).equals(content)).toBe(true)
    expect((await opened(at('damaged'))).lines).toEqual([])
  })

  it('has large matrices in one orientation only, with the same levels, under another name', async () => {
    const [small, large] = [await opened(at('ways')), await opened(at('ways'), at('tiny'), 1)]
    expect(large.file).not.toBe(small.file)
    const names = [...small.tensors.keys()].filter((name) => !name.endsWith('.transposed'))
    expect([...large.tensors.keys()]).toEqual(names)
    expect(names.length).toBeLessThan(small.tensors.size)
    for (const name of names) {
      const [one, other] = [small.tensors.get(name)!, large.tensors.get(name)!].map(({ offset, length }) => ({ offset, length }))
      const [actual, expected] = [(await readFile(large.file)).subarray(other!.offset), (await readFile(small.file)).subarray(one!.offset)]
      expect(actual.subarray(0, other!.length).equals(expected.subarray(0, one!.length)), name).toBe(true)
    }
  })

  it('is complete if two processes write it at once, and leaves no other file', async () => {
    const files = await Promise.all(Array.from({ length: 4 }, () => opened(at('together'))))
    expect(new Set(files.map(({ file }) => file)).size).toBe(1)
    expect((await opened(at('together'))).lines).toEqual([])
    expect((await readdir(at('together', 'salora-int8'))).length).toBe(2)
  })

  it('may be replaced by the same bytes, as by another process, and by no others', async () => {
    const { file } = await opened(at('replaced'))
    const { weights } = await openFrozen(int8, await openModelFolder(at('tiny')), at('replaced'))
    const bytes = await readFile(file)
    await writeFile(`${file}.new`, bytes)
    await rename(`${file}.new`, file)
    expect(await weights()).toBe(await realpath(at('replaced', 'salora-int8')))
    await new Promise((waited) => setTimeout(waited, 20)) // longer than a tick of the clock that dates files
    await writeFile(file, bytes.fill(7, 2000, 2040))
    await expect(weights()).rejects.toThrow(`${file}: expected the weights that were there at the start, got a file changed since`)
  })

  it.each(['file', 'checksum'])('reports in one line a folder in place of its %s', async (part) => {
    const cache = at(`folder-${part}`)
    await opened(cache)
    const name = (await readdir(join(cache, 'salora-int8'))).find((file) => file.endsWith('.sha256') === (part === 'checksum')) ?? ''
    await rm(join(cache, 'salora-int8', name))
    await mkdir(join(cache, 'salora-int8', name))
    await expect(opened(cache)).rejects.toThrow(
      `${join(cache, 'salora-int8', name)}: expected a file of the int8 cache, got a folder, which can be deleted`,
    )
  })

  it.skipIf(process.getuid?.() === 0 && process.platform === 'win32')('reports in one line that the cache cannot be written', async () => {
    await mkdir(at('locked'))
    await writeFile(at('locked', 'salora-int8'), 'a file')
    await chmod(at('locked'), 0o500)
    await expect(opened(at('locked'))).rejects.toThrow(
      /salora-int8: expected a cache that can be written \(SALORA_CACHE names another\), got .*/,
    )
  })
})

describe('the file of blocks', () => {
  it('has all other tensors unchanged, and is made once, beside the file of training', async () => {
    const base = await openModelFolder(join(fixtures, 'llama'))
    const lines: string[] = []
    for (const precision of [int8Blocks, int8, int8Blocks]) {
      const opening = precision.open(base, at('own'))
      for (let next = await opening.next(); ; next = await opening.next()) {
        if (next.done === true) break
        lines.push(next.value)
      }
    }
    expect(lines.length).toBe(2)
    expect((await readdir(at('own', 'salora-int8'))).filter((name) => name.endsWith('.safetensors')).length).toBe(2)
    const { tensor, weights } = await openFrozen(int8Blocks, base, at('own'))
    const norms = [...base.tensors.keys()].filter((name) => name.includes('norm'))
    const session = await cpu.engine({ threads: 1 }).open(Object.fromEntries(norms.map((name) => [name, tensor(name)])), weights)
    const outputs = await session.run({})
    await session.release()
    for (const name of norms) expect(outputs[name], name).toEqual(await readTensor(base.tensors.get(name)!))
    expect(norms.length).toBeGreaterThan(2)
  })

  it('takes 9 bits for a weight', async () => {
    const base = await openModelFolder(join(fixtures, 'llama'))
    const quantized = new Set([...base.model.spec.matrices.map(({ name }) => `${name}.weight`), base.model.causalHead?.().words])
    const bits = [...base.frozen].reduce(
      (sum, [name, { shape }]) => sum + (quantized.has(name) ? 9 : 32) * shape.reduce((a, b) => a * b, 1),
      0,
    )
    expect(int8Blocks.weightBytes(base)).toBe(bits / 8)
  })
})
