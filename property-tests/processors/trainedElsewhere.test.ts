/**
 * Other processors train: ten steps of LoRA and SaLoRA give the adapter of this one, up to rounding; a killed run resumes in its own bits; a
 * trained adapter is exported, and predicts.
 */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { haswell, lacks, neoverse, others, runOn, type Processor } from './emulator.js'

const { folder: cwd } = temporaryFolder('processors')
const texts = [
  ['a dull and stupid film', 'a fine and moving film'],
  ['boring, badly acted', 'great fun, warmly acted'],
  ['I hated the food and the staff', 'I loved the food and the staff'],
]
const csv = (rows: number, scene: string): string =>
  Array.from({ length: rows }, (_, i) => `"${texts[(i >> 1) % 3]?.[i % 2]} ${scene} ${i}",${i % 2 === 0 ? 'bad' : 'good'}`).join('\n')

beforeAll(async () => {
  await writeFile(join(cwd, 'train.csv'), `text,label\n${csv(24, 'number')}\n`)
  await writeFile(join(cwd, 'dev.csv'), `text,label\n${csv(6, 'scene')}\n`)
})

const settings = '--task train.csv --eval-data dev.csv --text text --label label --no-load-best-model-at-end --max-steps 10 --batch-size 8'
const train = (method: string, precision: string, output: string): readonly string[] => [
  ...['train', '--model', embeddedModel, '--method', method, '--precision', precision, '--output', output, '--save-steps', '3'],
  ...[...settings.split(' '), '--max-length', '24', '--threads', '1', '--quiet'],
]

const salora = (processor: Processor | null, args: readonly string[], input = '') => runOn(processor, 'cli/salora.js', args, { input, cwd })

/** The numbers of a run's adapter. */
const adapterOf = async (run: string): Promise<Float32Array> => {
  const { buffer, byteOffset, length } = await readFile(join(cwd, run, 'adapter/adapter_model.safetensors'))
  const start = 8 + Number(new DataView(buffer, byteOffset).getBigUint64(0, true))
  return new Float32Array(buffer.slice(byteOffset + start, byteOffset + length))
}

/** The largest difference, as a share of the largest number. */
const difference = (a: Float32Array, b: Float32Array): number => {
  expect(a.length).toBe(b.length)
  const [most, largest] = a.reduce(([d, l], x, i) => [Math.max(d, Math.abs(x - (b[i] ?? NaN))), Math.max(l, Math.abs(x))], [0, 0])
  return (most ?? NaN) / (largest ?? NaN)
}

const minutes = 30 * 60_000

describe.each([haswell, neoverse, ...others])('on $name', { timeout: minutes }, (processor) => {
  const lacking = lacks(processor)
  const unless = lacking === null ? '' : ` (skipped: it needs ${lacking})`
  const place = processor.cpu

  for (const [method, precision, bound] of [
    ['lora', 'float32', 1e-4],
    ['salora', 'float32', 1e-4],
    ['lora', 'int8', 0.1], // a value near a boundary between two levels may round to its other side
  ] as const)
    it.skipIf(lacking !== null)(`ten steps of ${method} in ${precision} have the adapter of this processor${unless}`, async () => {
      const [here, there] = [`here-${place}-${method}-${precision}`, `${place}-${method}-${precision}`]
      for (const [on, output] of [[null, here] as const, [processor, there] as const]) {
        const { code, stderr } = await salora(on, train(method, precision, output))
        expect([code, stderr.replaceAll(/^warning:.*\n/gm, '')]).toEqual([0, ''])
      }
      const found = difference(await adapterOf(here), await adapterOf(there))
      console.log(`${processor.name}, ${method}, ${precision}: largest difference ${found.toExponential(1)}`)
      expect(found).toBeLessThan(bound)
    })

  it.skipIf(lacking !== null)(`a killed run resumes in the same bits${unless}`, async () => {
    const killing = new AbortController()
    const killed = runOn(processor, 'cli/salora.js', train('salora', 'float32', `${place}-killed`), { cwd, signal: killing.signal })
    const saved = join(cwd, `${place}-killed`, 'checkpoints/step-000000006.safetensors')
    while (!existsSync(saved)) await pause(20)
    killing.abort()
    expect((await killed).code).toBe(-1)
    const { code } = await salora(processor, [...train('salora', 'float32', `${place}-killed`), '--resume'])
    expect(code).toBe(0)
    expect(await adapterOf(`${place}-killed`)).toEqual(await adapterOf(`${place}-salora-float32`))
  })

  it.skipIf(lacking !== null)(`a trained adapter predicts and is exported${unless}`, async () => {
    const run = `${place}-lora-float32`
    const asked = 'I loved the food and the staff\n'
    const [here, there] = [
      await salora(null, ['predict', '--run', run, '--json'], asked),
      await salora(processor, ['predict', '--run', run, '--json'], asked),
    ]
    const scores = ({ stdout }: typeof here): readonly number[] =>
      [...stdout.matchAll(/"score":\s*([\d.e-]+)/g)].map(([, score]) => Number(score))
    expect([there.code, scores(there).length]).toEqual([0, scores(here).length])
    scores(there).forEach((score, i) => expect(score).toBeCloseTo(scores(here)[i] ?? NaN, 4))
    const formats = ['--format', 'transformers.js', '--precision', 'int8', '--output']
    expect((await salora(processor, ['export', '--run', run, ...formats, `${place}-exported`])).code).toBe(0)
    expect((await salora(null, ['export', '--run', run, ...formats, `${place}-here`])).code).toBe(0)
    const model = (folder: string) => readFile(join(cwd, folder, 'onnx/model_quantized.onnx'))
    expect((await model(`${place}-exported`)).equals(await model(`${place}-here`))).toBe(true)
  })
})
