/** The precision int4: its files in the cache, and the memory that its weights take. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { prepacks } from '../../../accelerated/engines/sessionOptions.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { allocations, findPeak, weightMemory } from '../../../accelerated/graph/liveness.js'
import { input, mul, reduceSum } from '../../../accelerated/graph/operators.js'
import { fourBitMatMul, matchFourBit, matchQuantized } from '../../../accelerated/graph/quantizedOperators.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { int4, int4Blocks } from '../../../accelerated/precisions/int4/int4.js'
import { openFrozen } from '../../../accelerated/precisions/precision.js'
import { roundFrozen } from '../../../reference/layers/fourBitLinear.js'
import { dequantize } from '../../../reference/layers/quantizedLinear.js'
import { tensor } from '../../../reference/tensor/tensor.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { assertClose } from '../../support/assertClose.js'
import { temporaryCache } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryCache('int4')
const at = (...path: readonly string[]): string => join(root, ...path)
beforeAll(() => writeTinyModel(at('tiny')))

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
    const parts = tiny.model.spec.matrices.flatMap(({ name }) => matchFourBit(tensorOf(`${name}.weight`))?.levels ?? [])
    const bytes = parts.map(({ attributes, shape }) => [attributes.external?.length, shape.map(Number).reduce((a, b) => a * b, 1) / 2])
    for (const [stored, counted] of bytes) expect(stored).toBe(counted)
    const narrow = tiny.model.spec.matrices.filter(({ d, k }) => d < k)
    expect(narrow.map(({ name }) => name)).toEqual(['encoder.layer.0.output.dense', 'encoder.layer.1.output.dense'])
    expect(bytes.length).toBe(tiny.model.spec.matrices.length - narrow.length)
    for (const { name, d, k } of narrow) {
      const matrix = matchQuantized(tensorOf(`${name}.weight`))
      expect(matrix?.levels.attributes.external?.length).toBe(d * k)
      expect(matrix?.transposed.op).toBe('TransposedView') // one copy in memory
    }
  })
})

describe('the memory of a step in int4', () => {
  const [rows, columns] = [64, 128]
  const leaf = (name: string, shape: readonly number[], dtype: Expression['dtype'], bytes: number): Expression => ({
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
    const peak = findPeak(allocations(outputs, { tokens: 1 }, true))
    expect(peak).toBeGreaterThanOrEqual(2 * rows * columns) // four bits as bytes, and their products with the scales of blocks
    expect(peak).toBeLessThan(3 * rows * columns)
    expect(prepacks(outputs, {})).toBe(false)
  })
})
