/** The precision int8: its file in the cache, what it refuses, and that every method which freezes the model trains and answers in it. */
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { methods } from '../../../accelerated/methods/index.js'
import { quantizedFile } from '../../../accelerated/precisions/int8/quantizedFile.js'
import { rowLayout, type LevelsType } from '../../../accelerated/precisions/int8/rowLayout.js'
import { int8 } from '../../../accelerated/precisions/int8/int8.js'
import { openFrozen } from '../../../accelerated/precisions/precision.js'
import { cpu } from '../../../accelerated/engines/devices/cpu.js'
import { openTrainedAdapter } from '../../../finetuning/adapters/trainedAdapter.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { readSentiment } from '../../../finetuning/data/index.js'
import { runJob } from '../../cli/jobRun.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { toyFile } from '../../cli/toyTask.js'
import { assertClose } from '../../support/assertClose.js'

let root = ''
const at = (...path: ReadonlyArray<string>): string => join(root, ...path)
const cacheBefore = process.env['SALORA_CACHE']
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-int8-'))
  process.env['SALORA_CACHE'] = at('cache')
  await writeTinyModel(at('tiny'))
  await writeFile(at('toy.tsv'), toyFile(40))
})
afterAll(async () => {
  if (cacheBefore === undefined) delete process.env['SALORA_CACHE']
  else process.env['SALORA_CACHE'] = cacheBefore
  await rm(root, { recursive: true })
})

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

const settings = { model: 'tiny', task: 'toy.tsv', maxSteps: '6', batchSize: '4', maxLength: '16', device: 'cpu', threads: '1' } as const
const flags = (method: string, more: Readonly<Record<string, string>> = {}) => ({
  ...settings,
  model: at('tiny'),
  task: at('toy.tsv'),
  output: at(`run-${method}`),
  method,
  precision: 'int8',
  ...(method === 'salora' ? { gateStart: '0.2', gateEnd: '0.5' } : {}),
  ...(method === 'prompt' || method === 'prefix' ? { virtualTokens: '3' } : {}),
  ...more,
})

const results = new Map<string, ReturnType<typeof runJob>>()
/** The run of a method, which tests share. */
const trained = (method: string): ReturnType<typeof runJob> => {
  const result = results.get(method) ?? runJob(flags(method))
  results.set(method, result)
  return result
}

describe('a run in int8', () => {
  it.each(methods.map(({ name }) => name).filter((name) => name !== 'full'))(
    'a run of %s in int8 trains, says so in result.json, and answers as it was scored',
    async (method) => {
      const result = await trained(method)
      expect(result).toMatchObject({ precision: 'int8', stepsDone: 6, interrupted: false })
      const rows = await (async () => {
        const adapter = await openTrainedAdapter({
          model: at('tiny'),
          adapter: at(`run-${method}`, 'adapter'),
          maxLength: 16,
          device: 'cpu',
          precision: 'int8',
        })
        return adapter.predict([{ text: 'a good film' }, { text: 'bad' }]).finally(adapter.release)
      })()
      expect(rows.flat().every(Number.isFinite)).toBe(true)
    },
  )

  it('int8 with the method full is refused because it freezes nothing, and so is a device without int8 products', async () => {
    await expect(runJob(flags('full'))).rejects.toMatchObject({
      setting: 'precision',
      expected: expect.stringContaining('method full') as unknown,
    })
    expect(await readdir(root)).not.toContain('run-full')
    expect(int8.runsOn?.({ fusedMatMul: false })).toBe(false)
  })

  it('a run of DoRA in int8 trains, though it needs the matrix itself', async () => {
    expect((await runJob(flags('lora', { dora: 'true', output: at('run-dora') }))).stepsDone).toBe(6)
  })

  it('resumes in the same bits', async () => {
    const uninterrupted = await trained('salora')
    await runJob(flags('salora', { output: at('cut') }), 3)
    const rest = await runJob({ output: at('cut'), resume: true })
    expect(rest.last).toEqual(uninterrupted.last)
    expect(await readFile(at('cut', 'adapter', 'adapter_model.safetensors'))).toEqual(
      await readFile(at('run-salora', 'adapter', 'adapter_model.safetensors')),
    )
  })
})

it("the embedded model's logits of real sentences in int8 are close to float32", async () => {
  const texts = readSentiment().dev.examples.slice(0, 60)
  const run = await runJob({
    model: embeddedModel,
    task: 'sentiment',
    method: 'lora',
    maxSteps: '30',
    batchSize: '16',
    maxLength: '32',
    learningRate: '0.002',
    device: 'cpu',
    output: at('embedded'),
    evalSteps: '30',
  })
  expect(run.stepsDone).toBe(30)
  const logits = async (precision: string): Promise<ReadonlyArray<number>> => {
    const adapter = await openTrainedAdapter({
      model: embeddedModel,
      adapter: at('embedded', 'adapter'),
      maxLength: 32,
      device: 'cpu',
      precision,
    })
    return (await adapter.predict(texts).finally(adapter.release)).flat()
  }
  const [exact, coarse] = [await logits('float32'), await logits('int8')]
  const largest = Math.max(...exact.map(Math.abs))
  assertClose(coarse, exact, { relative: 0, absolute: 0.05 * largest })
  expect(coarse).not.toEqual(exact)
}, 60_000)
