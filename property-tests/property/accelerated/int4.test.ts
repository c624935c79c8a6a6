/** The precision int4: its files in the cache, what it refuses, the memory that its weights take, and runs and generation in it. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { prepacks } from '../../../accelerated/engines/sessionOptions.js'
import { cpu } from '../../../accelerated/engines/devices/cpu.js'
import { decodingGraph } from '../../../accelerated/generation/graph.js'
import { topologicalOrder, type Expression } from '../../../accelerated/graph/expression.js'
import { lower } from '../../../accelerated/graph/lowering.js'
import { allocations, peakOf } from '../../../accelerated/graph/liveness.js'
import { input, mul, reduceSum } from '../../../accelerated/graph/operators.js'
import { fourBitMatMul, fourBitOf, quantizedOf } from '../../../accelerated/graph/quantizedOperators.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { weightMemory } from '../../../accelerated/graph/weightMemory.js'
import { int4, int4Blocks } from '../../../accelerated/precisions/int4/int4.js'
import { openFrozen } from '../../../accelerated/precisions/precision.js'
import { openTextDecoder } from '../../../finetuning/adapters/generator.js'
import { openTrainedAdapter } from '../../../finetuning/adapters/trainedAdapter.js'
import { loadTextModel } from '../../../finetuning/adapters/trainedModel.js'
import { roundFrozen } from '../../../reference/layers/fourBitLinear.js'
import { dequantize } from '../../../reference/layers/quantizedLinear.js'
import { tensor } from '../../../reference/tensor/tensor.js'
import { runJob } from '../../cli/jobRun.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { toyFile } from '../../cli/toyTask.js'
import { fixtures } from '../../golden/golden.js'
import { assertClose } from '../../support/assertClose.js'

let root = ''
const at = (...path: ReadonlyArray<string>): string => join(root, ...path)
const cacheBefore = process.env['SALORA_CACHE']
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-int4-'))
  process.env['SALORA_CACHE'] = at('cache')
  await writeTinyModel(at('tiny'))
  await writeFile(at('toy.tsv'), toyFile(40))
})
afterAll(async () => {
  if (cacheBefore === undefined) delete process.env['SALORA_CACHE']
  else process.env['SALORA_CACHE'] = cacheBefore
  await rm(root, { recursive: true })
})

describe('the files of weights in four bits', () => {
  it("have the reference's levels of each matrix, all other tensors unchanged, and are made once", async () => {
    const base = await openModelFolder(at('tiny'))
    const lines: string[] = []
    for (const precision of [int4, int4Blocks, int4]) {
      const opening = precision.open(base, at('own'))
      for (let next = await opening.next(); next.done !== true; next = await opening.next()) lines.push(next.value)
    }
    expect(lines).toEqual(
      Array.from({ length: 2 }, () => `quantizing the matrices of ${at('tiny')}, once, into ${at('own', 'salora-int4')}`),
    )
    expect((await readdir(at('own', 'salora-int4'))).filter((name) => name.endsWith('.safetensors')).length).toBe(2)
    const { tensor: stored, weights } = await openFrozen(int4, base, at('own'))
    const names = [...base.tensors.keys()]
    const session = await cpu.engine({ threads: 1 }).open(Object.fromEntries(names.map((name) => [name, stored(name)])), weights)
    const outputs = await session.run({})
    await session.release()
    const matrices = new Set(base.model.spec.matrices.map(({ name }) => `${name}.weight`))
    for (const [name, entry] of base.tensors) {
      const W = await readTensor(entry)
      if (!matrices.has(name)) expect(outputs[name], name).toEqual(W)
      else assertClose(outputs[name] as Float32Array, dequantize(roundFrozen(tensor(entry.shape, W))).data, { relative: 1e-6, name })
    }
    expect(matrices.size).toBeGreaterThan(5)
  })

  it('take 4.25 bits for a weight, 8 in matrices with fewer outputs than inputs, and 32 for a row, as counted', async () => {
    const matrices = [
      { name: 'm', d: 96, k: 64 },
      { name: 'narrow', d: 64, k: 96 },
    ]
    const frozen = new Map([
      ['m.weight', { shape: [96, 64] }],
      ['narrow.weight', { shape: [64, 96] }],
      ['bias', { shape: [10] }],
    ])
    const base = { model: { spec: { matrices } }, frozen } as unknown as Parameters<typeof int4.weightBytes>[0]
    expect(int4.weightBytes(base)).toBe((64 * 96 * 4.25 + 96 * 32) / 8 + 64 * 96 + 64 * 4 + 40)
    const head = { model: { spec: { matrices } }, frozen } as unknown as Parameters<typeof int4Blocks.weightBytes>[0]
    expect(int4Blocks.weightBytes(head)).toBe((64 * 96 * 5) / 8 + 64 * 96 * 1.125 + 40)
    const tiny = await openModelFolder(at('tiny'))
    const tensorOf = await int4.placeholders(tiny)
    const parts = tiny.model.spec.matrices.flatMap(({ name }) => fourBitOf(tensorOf(`${name}.weight`))?.levels ?? [])
    const bytes = parts.map(({ attributes, shape }) => [attributes.external?.length, shape.map(Number).reduce((a, b) => a * b, 1) / 2])
    for (const [stored, counted] of bytes) expect(stored).toBe(counted)
    const narrow = tiny.model.spec.matrices.filter(({ d, k }) => d < k)
    expect(narrow.map(({ name }) => name)).toEqual(['encoder.layer.0.output.dense', 'encoder.layer.1.output.dense'])
    expect(bytes.length).toBe(tiny.model.spec.matrices.length - narrow.length)
    for (const { name, d, k } of narrow) {
      const matrix = quantizedOf(tensorOf(`${name}.weight`))
      expect(matrix?.levels.attributes.external?.length).toBe(d * k)
      expect(matrix?.transposed.op).toBe('TransposedView') // one copy in memory
    }
  })
})

describe('the memory of a step in int4', () => {
  const [rows, columns] = [64, 128]
  const leaf = (name: string, shape: ReadonlyArray<number>, dtype: Expression['dtype'], bytes: number): Expression => ({
    op: 'Weight',
    inputs: [],
    attributes: { name, external: { location: '', offset: 0, length: bytes } },
    shape,
    dtype,
  })
  const matrix = {
    levels: leaf('levels', [rows, 4, 32], 'uint4', (rows * columns) / 2),
    blockScales: leaf('blockScales', [rows, 4], 'uint8', rows * 4),
    scales: leaf('scales', [rows], 'float32', rows * 4),
    columns,
  }

  it('is that of its packed levels and of one expanded matrix', () => {
    const x = input('x', ['tokens', columns], 'float32')
    const y = fourBitMatMul(x, matrix)
    const [slope] = gradient(reduceSum(mul(y, y)), [x])
    const outputs = { slope: slope! }
    expect(weightMemory(outputs, {}, true)).toBe((rows * columns) / 2 + rows * 4 + rows * 4)
    const peak = peakOf(allocations(outputs, { tokens: 1 }, true))
    expect(peak).toBeGreaterThanOrEqual(2 * rows * columns) // four bits as bytes, and their products with the scales of blocks
    expect(peak).toBeLessThan(3 * rows * columns)
    expect(prepacks(outputs, {})).toBe(false)
  })
})

const settings = { maxSteps: '6', batchSize: '4', maxLength: '16', device: 'cpu', threads: '1', precision: 'int4' } as const
const flags = (method: string, more: Readonly<Record<string, string | boolean>> = {}) => ({
  ...settings,
  model: at('tiny'),
  task: at('toy.tsv'),
  output: at(`run-${method}`),
  method,
  ...(method === 'salora' ? { gateStart: '0.2', gateEnd: '0.5' } : {}),
  ...(method === 'prompt' || method === 'prefix' ? { virtualTokens: '3' } : {}),
  ...more,
})

describe('a run in int4', () => {
  it.each(['salora', 'adalora', 'pfeiffer', 'prefix'])('a run of %s in int4 trains, and answers', async (method) => {
    expect(await runJob(flags(method))).toMatchObject({ precision: 'int4', stepsDone: 6, interrupted: false })
    const machine = { maxLength: 16, device: 'cpu', precision: 'int4' }
    const adapter = await openTrainedAdapter({ model: at('tiny'), adapter: at(`run-${method}`, 'adapter'), ...machine })
    const rows = await adapter.predict([{ text: 'a good film' }, { text: 'bad' }]).finally(adapter.release)
    expect(rows.flat().every(Number.isFinite)).toBe(true)
  })

  it('int4 with the method full is refused in one line, and so is a device without int8 products', async () => {
    await expect(runJob(flags('full'))).rejects.toMatchObject({
      setting: 'precision',
      expected: 'float32 with method full, which trains the matrices that int4 would freeze',
      got: 'int4',
    })
    expect(await readdir(root)).not.toContain('run-full')
    expect(int4.runsOn?.({ fusedMatMul: false })).toBe(false)
    expect(int4.runsOn?.({ fusedMatMul: true, quantizedMatMul: true })).toBe(true)
  })

  it('a run of DoRA in int4 trains, though it needs the matrix itself', async () => {
    expect((await runJob(flags('lora', { dora: 'true', output: at('run-dora') }))).stepsDone).toBe(6)
  })

  it('has the same numbers with gradient checkpointing, and resumes in the same bits', async () => {
    const adapterOf = (run: string) => readFile(at(run, 'adapter', 'adapter_model.safetensors'))
    const uninterrupted = await runJob(flags('salora', { output: at('whole') }))
    await runJob(flags('salora', { output: at('cut') }), 3)
    expect((await runJob({ output: at('cut'), resume: true })).last).toEqual(uninterrupted.last)
    expect(await adapterOf('cut')).toEqual(await adapterOf('whole'))
    await runJob(flags('salora', { output: at('recomputed'), gradientCheckpointing: true }))
    expect(await adapterOf('recomputed')).toEqual(await adapterOf('whole'))
  })
})

describe('generation in int4', () => {
  const opened = async (precision: string) => {
    const machine = { precision, threads: 1 }
    return openTextDecoder(await loadTextModel({ model: join(fixtures, 'llama'), adapter: null, ...machine }), machine, cpu)
  }

  it('has logits near those in float32, and multiplies every matrix in blocks', async () => {
    const logits = []
    for (const precision of ['float32', 'int4']) {
      const decoder = await opened(precision)
      const rows = await decoder.begin([[5, 8, 13, 21], [34]])
      await rows.append([
        { from: 0, token: 7 },
        { from: 1, token: 9 },
      ])
      logits.push(rows.logits().flatMap((row) => Array.from(row)))
      await decoder.release()
    }
    const [exact = [], coarse = []] = logits
    assertClose(coarse, exact, { relative: 0.5 }) // four bits of narrow matrices
    expect(coarse).not.toEqual(exact)
    const decoder = await opened('int4')
    const { assembly } = decoder
    const order = topologicalOrder(
      Object.values(lower(decodingGraph(assembly, assembly.method.phases.start(assembly.model.spec, assembly.settings)))),
    )
    await decoder.release()
    const products = order.filter(({ op }) => op === 'BlockMatMul')
    const bytesOf = ({ shape }: Expression): number => Number(shape[2])
    const layers = assembly.model.spec.layers.length // narrow: keys with values, the output of attention, the end of the feed-forward
    expect(products.map(({ inputs: [, levels] }) => bytesOf(levels!)).filter((bytes) => bytes === 32).length).toBe(3 * layers + 1)
    expect(products.length).toBe(5 * layers + 1) // and the head
    expect(order.map(({ op }) => op)).not.toContain('FourBitMatMul')
  })
})
