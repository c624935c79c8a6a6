/** Memory and large files: the memory of a run besides its weights, and files that are refused before they are read. */
import { mkdir, open, writeFile, copyFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { elementCount } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { layOut } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { salora } from './spawnSalora.js'
import { tinyConfig } from './tinyModel.js'

const { folder: root } = temporaryFolder('memory')
beforeAll(async () => {
  const rows = Array.from({ length: 40 }, (_, i) => `film ${i}\t${i % 2 === 0 ? 'good' : 'bad'}\n`)
  await writeFile(join(root, 'task.tsv'), `text\tlabel\n${rows.join('')}`)
})

/** A model whose weights are zeros that take no room on the disk. One number in each matrix differs from the other matrices. */
const writeHollowModel = async (name: string, sizes: object): Promise<{ readonly folder: string; readonly bytes: number }> => {
  const folder = join(root, name)
  await mkdir(folder)
  const text = JSON.stringify({ ...tinyConfig, num_hidden_layers: 1, ...sizes })
  await writeFile(join(folder, 'config.json'), text)
  await copyFile(join(embeddedModel, 'tokenizer.json'), join(folder, 'tokenizer.json'))
  const shapes = parseConfigFile(text, 'config.json').model.spec.tensors
  const { header, order } = layOut([...shapes].map(([tensor, shape]) => ({ name: tensor, dtype: 'F32', shape })))
  const file = await open(join(folder, 'model.safetensors'), 'w')
  await file.write(header)
  let at = header.length
  for (const [i, tensor] of order.entries()) {
    await file.write(new Uint8Array(Float32Array.of(i + 1).buffer), 0, 4, at)
    at += 4 * elementCount(shapes.get(tensor) ?? [])
  }
  await file.truncate(at)
  await file.close()
  return { folder, bytes: at }
}

const patience = 50_000

const trained = async (model: string, output: string) =>
  salora(
    [
      'train',
      '--model',
      model,
      '--task',
      'task.tsv',
      '--output',
      output,
      ...'--method lora --rank 1 --target-modules query --batch-size 2 --max-length 32 --max-steps 2 --device cpu --json'.split(' '),
      ...'--quiet'.split(' '),
    ],
    { cwd: root, onStart: (child) => setTimeout(() => child.kill('SIGKILL'), patience).unref() },
  )

describe('the memory of a run', () => {
  const sizes = { hidden_size: 1024, intermediate_size: 4096 }

  // The mapped file and the copy that ONNX Runtime packs for its products make two. Peaks vary by a few percent; a third copy makes three.
  it('holds two copies of the weights, and no third', async () => {
    const small = await writeHollowModel('small', { ...sizes, num_hidden_layers: 1 })
    const large = await writeHollowModel('large', { ...sizes, num_hidden_layers: 12 })
    const peaks: number[] = []
    for (const { folder } of [small, large]) {
      const { code, stdout, stderr } = await trained(folder, `${folder}-run`)
      expect(code, stderr).toBe(0)
      peaks.push((JSON.parse(stdout) as { readonly peakMemoryBytes: number }).peakMemoryBytes)
    }
    const [without = NaN, withWeights = NaN] = peaks
    expect(withWeights - without).toBeLessThan(2.5 * (large.bytes - small.bytes))
  }, 120_000)

  it('is not filled by weights that do not fit: they are refused before they are read', async () => {
    const { folder, bytes } = await writeHollowModel('huge', {
      hidden_size: 1024,
      intermediate_size: 1_000_000,
      num_hidden_layers: Math.ceil(totalmem() / 8e9),
    })
    const { code, stderr } = await trained(folder, 'huge-run')
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        new RegExp(
          `^${folder}: expected weights that fit into memory \\([\\d.e+]+ GB here\\), got ${(bytes / 1e9).toPrecision(3)} GB in float32; --precision int8 takes [\\d.e+]+ GB\n$`,
        ),
      ),
    ])
  }, 60_000)
})
