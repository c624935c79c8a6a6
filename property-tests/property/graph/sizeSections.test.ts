/** Names of sizes by section: which names a large graph has, what it computes, and how long ONNX Runtime plans it. */
import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { cpu } from '../../../accelerated/engines/devices/cpu.js'
import { topologicalOrder, type Expression } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { toOnnx } from '../../../accelerated/graph/onnx.js'
import { messageType } from '../../../accelerated/graph/onnxSchema.js'
import { add, checkpoint, input, matMul, reduceSum, tanh } from '../../../accelerated/graph/operators.js'
import { float32, openGraph, readModel, resultOf } from '../../support/runGraph.js'

/** Wide enough that a product with a sum in one node rounds differently. */
const width = 512

/** h ← h + tanh(h) W, again and again: three nodes a layer, each value freed soon. */
const [x, W] = [input('h', ['rows', width], 'float32'), input('W', [width, width], 'float32')]
const chain = (nodes: number): Expression => {
  const layer = (h: Expression): Expression => add(h, matMul(tanh(h), W))
  return Array.from({ length: nodes / 3 }).reduce<Expression>(layer, x)
}
const modelOf = (nodes: number): Uint8Array => toOnnx({ y: reduceSum(chain(nodes)) }, cpu.target)

/** The names of the first size of each declared inner value, in order. */
const namesIn = (model: Uint8Array): ReadonlyArray<string> =>
  readModel(model).valueInfo.map(({ type }) => type.tensorType.shape.dim[0]?.dimParam ?? '')

const withoutSections = (model: Uint8Array): Uint8Array => {
  const type = messageType('ModelProto')
  const decoded = type.toObject(type.decode(model), { longs: Number }) as { readonly graph: object }
  return type.encode(type.fromObject({ ...decoded, graph: { ...decoded.graph, valueInfo: [] } })).finish()
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

describe('sections of sizes', () => {
  it('a graph of up to 4,096 nodes declares no name of a size', () => {
    expect(namesIn(modelOf(4092))).toEqual([])
  })

  it('a larger graph has one name for each 512 nodes, and every inner value of a size that a run sets has one', () => {
    const names = namesIn(modelOf(4470))
    expect(names).toHaveLength(4470)
    expect([...new Set(names)]).toEqual(Array.from({ length: 9 }, (_, i) => `rows@${i}`))
    expect(names.filter((name) => name === 'rows@1')).toHaveLength(512)
  })

  it('a large graph with gradient checkpointing, which has no memory to spare, has one name for each 128 nodes', () => {
    const [slope] = gradient(reduceSum(checkpoint(chain(1398), x)), [W]) as [Expression]
    const nodes = topologicalOrder([slope]).length
    const names = new Set(namesIn(toOnnx({ slope }, cpu.target)))
    expect(Math.abs(names.size - nodes / 128), `${names.size} names of ${nodes} nodes`).toBeLessThan(1.5)
    expect(nodes).toBeGreaterThan(4096)
  })

  it('inputs and outputs of a large graph have no names', () => {
    const { input: inputs, output: outputs } = readModel(toOnnx({ y: chain(4470) }, cpu.target))
    const dims = [...inputs, ...outputs].flatMap(({ type }) => type.tensorType.shape.dim.map(({ dimParam }) => dimParam))
    expect(dims.filter((name) => name !== '')).toEqual([])
  })

  it('a large graph is ready in half of the processor time that it needs without sections, with the same bits', async () => {
    const y = reduceSum(chain(4500))
    const plain = withoutSections(toOnnx({ y }, cpu.target))
    const slow = await secondsOf(() => ort.InferenceSession.create(plain, { intraOpNumThreads: 1, logSeverityLevel: 3 }))
    const quick = await secondsOf(() => openGraph({ y }))
    const tensors = Object.entries(feeds).map(([name, { data, shape }]) => [name, new ort.Tensor('float32', data, shape)])
    const expected = await slow.opened.run(Object.fromEntries(tensors))
    expect(resultOf(await quick.opened.run(feeds), 'y')).toEqual(Array.from(expected['y']?.data as Float32Array))
    await Promise.all([slow.opened.release(), quick.opened.release()])
    expect(quick.seconds).toBeLessThan(slow.seconds / 2)
  })
})
