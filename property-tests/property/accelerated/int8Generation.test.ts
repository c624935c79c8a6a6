/** Generation in int8: every matrix and the head in blocks, logits near those in float32, and one file in the cache beside that of training. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { cpu } from '../../../accelerated/engines/devices/cpu.js'
import { decodingGraph } from '../../../accelerated/generation/graph.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { lower } from '../../../accelerated/graph/lowering.js'
import { int8Blocks, int8 } from '../../../accelerated/precisions/int8/int8.js'
import { openFrozen } from '../../../accelerated/precisions/precision.js'
import { openTextDecoder } from '../../../finetuning/adapters/generator.js'
import { loadTextModel } from '../../../finetuning/adapters/trainedModel.js'
import { decoderFamilies as families, fixtures } from '../../golden/golden.js'
import { assertClose } from '../../support/assertClose.js'

let cache = ''
const cacheBefore = process.env['SALORA_CACHE']
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'salora-int8-generation-'))
  process.env['SALORA_CACHE'] = cache
})
afterAll(async () => {
  if (cacheBefore === undefined) delete process.env['SALORA_CACHE']
  else process.env['SALORA_CACHE'] = cacheBefore
  await rm(cache, { recursive: true })
})

const opened = async (family: string, precision: string) => {
  const machine = { precision, threads: 1 }
  return openTextDecoder(await loadTextModel({ model: join(fixtures, family), adapter: null, ...machine }), machine, cpu)
}

describe.each(families)('%s in int8', (family) => {
  it('has logits near those in float32, of prompts and of tokens after them', async () => {
    const logits = []
    for (const precision of ['float32', 'int8']) {
      const decoder = await opened(family, precision)
      const rows = await decoder.begin([[5, 8, 13, 21], [34]])
      const first = rows.logits().flatMap((row) => Array.from(row))
      await rows.append([
        { from: 0, token: 7 },
        { from: 1, token: 9 },
      ])
      logits.push([...first, ...rows.logits().flatMap((row) => Array.from(row))])
      await decoder.release()
    }
    const [float32 = [], blocks = []] = logits
    assertClose(blocks, float32, { relative: 0.06 }) // 1/254 of a block's largest value, twice per product; these models are narrow
    expect(blocks).not.toEqual(float32)
  })

  it('multiplies every matrix of the layers, and the head, in blocks', async () => {
    const decoder = await opened(family, 'int8')
    const graph = lower(
      decodingGraph(decoder.assembly, decoder.assembly.method.phases.start(decoder.assembly.model.spec, decoder.assembly.settings)),
    )
    await decoder.release()
    const order = topologicalOrder(Object.values(graph))
    const ops = order.map(({ op }) => op)
    const products = order.filter(({ op }) => op === 'BlockMatMul')
    const matrices = products.reduce((sum, { inputs: [, levels] }) => sum + (levels?.op === 'Concat' ? levels.inputs.length : 1), 0)
    expect(matrices).toBe(decoder.assembly.model.spec.matrices.length + 1)
    expect(products.length).toBe(4 * decoder.assembly.model.spec.layers.length + 1) // queries, keys and values are one; so are gate and up
    expect(ops).not.toContain('QuantizedMatMul')
    expect(ops).not.toContain('BlockDequantize')
  })
})

describe('the file of blocks', () => {
  it('has all other tensors unchanged, and is made once, beside the file of training', async () => {
    const base = await openModelFolder(join(fixtures, 'llama'))
    const lines: string[] = []
    for (const precision of [int8Blocks, int8, int8Blocks]) {
      const opening = precision.open(base, join(cache, 'own'))
      for (let next = await opening.next(); ; next = await opening.next()) {
        if (next.done === true) break
        lines.push(next.value)
      }
    }
    expect(lines.length).toBe(2)
    expect((await readdir(join(cache, 'own', 'salora-int8'))).filter((name) => name.endsWith('.safetensors')).length).toBe(2)
    const { tensor, weights } = await openFrozen(int8Blocks, base, join(cache, 'own'))
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
