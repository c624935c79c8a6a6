/** Shapes that a run sets: ONNX Runtime knows none of them before the run, is ready sooner for it, and computes the same bits. */
import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { toOnnx } from '../../../accelerated/graph/onnx.js'
import { messageType } from '../../support/onnxSchema.js'
import {
  add,
  addMatMul,
  concat,
  expand,
  gelu,
  input,
  layerNormalization,
  matMul,
  mul,
  reduceSum,
  reshape,
  softmax,
  tanh,
  transpose,
} from '../../../accelerated/graph/operators.js'
import { float32, openGraph, readModel, resultOf } from '../../support/runGraph.js'

/** Wide enough that a product with a sum in one node rounds differently. */
const width = 512

const [x, W, scale] = [input('h', ['rows', width], 'float32'), input('W', [width, width], 'float32'), input('scale', [width], 'float32')]

/** h ← h + tanh(h) W, again and again: three nodes a layer, each value freed soon. */
const chain = (nodes: number): Expression => {
  const layer = (h: Expression): Expression => add(h, matMul(tanh(h), W))
  return Array.from({ length: nodes / 3 }).reduce<Expression>(layer, x)
}

/** What layers are made of: sums of products, heads, rows by their own scales. */
const values = (): Readonly<Record<string, Expression>> => {
  const sum = addMatMul(x, mul(x, 2), W, { transposeB: true })
  const normal = layerNormalization(sum, scale, scale, 1e-5)
  const heads = reshape(gelu(normal), ['rows', 8, 64])
  const weights = softmax(matMul(transpose(heads, [1, 0, 2]), transpose(heads, [1, 2, 0])))
  const flat = reshape(transpose(matMul(weights, transpose(heads, [1, 0, 2])), [1, 0, 2]), ['rows', width])
  const spread = expand(reduceSum(flat, [1], true), ['rows', width])
  return { sum, normal, heads, weights, flat, spread, both: concat([flat, spread], 1) }
}

/** The same model, whose inputs have as many axes as the runtime then knows to follow. */
const withRanks = (model: Uint8Array): Uint8Array => {
  const type = messageType('ModelProto')
  const decoded = type.toObject(type.decode(model), { longs: Number }) as {
    readonly graph: { readonly input: readonly { readonly name: string; readonly type: { readonly tensorType: object } }[] }
  }
  const inputs = decoded.graph.input.map((one) =>
    one.name === 'h' ? { ...one, type: { tensorType: { ...one.type.tensorType, shape: { dim: [{}, { dimValue: width }] } } } } : one,
  )
  return type.encode(type.fromObject({ ...decoded, graph: { ...decoded.graph, input: inputs } })).finish()
}

const feeds = {
  h: float32(
    Array.from({ length: 3 * width }, (_, i) => Math.sin(i)),
    [3, width],
  ),
  W: float32(
    Array.from({ length: width ** 2 }, (_, i) => Math.cos(i * i) / width),
    [width, width],
  ),
}

/** Processor time, in seconds, until a session is ready. */
const secondsOf = async <Opened>(open: () => Promise<Opened>): Promise<{ readonly opened: Opened; readonly seconds: number }> => {
  const began = process.cpuUsage()
  const opened = await open()
  const { user, system } = process.cpuUsage(began)
  return { opened, seconds: (user + system) / 1e6 }
}

describe('shapes that a run sets', () => {
  it('are not declared; other shapes are', () => {
    const { input: inputs, output: outputs, valueInfo } = readModel(toOnnx({ y: chain(30) }, cpu.target))
    const declared = [...inputs, ...outputs].filter(({ type }) => type.tensorType.shape !== null)
    expect(declared.map(({ name }) => name)).toEqual(['W'])
    expect(valueInfo).toEqual([])
  })

  it('are unknown to ONNX Runtime: not even the number of axes of a value', async () => {
    const unknown = async (target: typeof cpu.target): Promise<readonly string[]> => {
      const session = await ort.InferenceSession.create(toOnnx(values(), target), { logSeverityLevel: 3 })
      const known = session.outputMetadata.flatMap(({ name, ...of }) => ('shape' in of && of.shape.length > 0 ? [] : [name]))
      await session.release()
      return known
    }
    expect(await unknown(cpu.target)).toEqual(Object.keys(values()))
    expect(await unknown({ ...cpu.target, unknownShapes: false })).toEqual([])
  })

  it('let a large graph be ready in half of the processor time that it needs with known ranks, with the same bits', async () => {
    const y = reduceSum(chain(1500))
    const ranked = withRanks(toOnnx({ y }, cpu.target))
    const slow = await secondsOf(() => ort.InferenceSession.create(ranked, { intraOpNumThreads: 1, logSeverityLevel: 3 }))
    const quick = await secondsOf(() => openGraph({ y }))
    const tensors = Object.entries(feeds).map(([name, { data, shape }]) => [name, new ort.Tensor('float32', data, shape)])
    const expected = await slow.opened.run(Object.fromEntries(tensors))
    expect(resultOf(await quick.opened.run(feeds), 'y')).toEqual(Array.from(expected['y']?.data as Float32Array))
    await Promise.all([slow.opened.release(), quick.opened.release()])
    expect(quick.seconds, `${quick.seconds} s, and ${slow.seconds} s with ranks`).toBeLessThan(slow.seconds / 2)
  })
})
