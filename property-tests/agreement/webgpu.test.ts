/** Agreement on WebGPU, where there is a device: a GPU, or Mesa's software Vulkan. Skipped, by name, where there is none. */
import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import type { Expression } from '../../accelerated/graph/expression.js'
import { add, input, logSoftmax, matMul, mul, reduceSum, split, weight } from '../../accelerated/graph/operators.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { webgpu } from '../../accelerated/engines/devices/device.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { nodeEngine } from '../../accelerated/engines/onnxRuntimeNode.js'
import type { Placement } from '../../accelerated/engines/placement.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { probeDevice } from '../../accelerated/engines/deviceProbe.js'
import { compareStep, compareSteps } from '../../evaluation/agreement/compareSteps.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { phaseIn, buildInitialState, stepOutputs, type Target } from '../../evaluation/agreement/acceleratedSide.js'
import { readModel } from '../support/runGraph.js'
import { disagreements, someOptions } from './modelOptions.js'

const target: Target = { device: 'webgpu', precision: 'float32' }
const { works } = await probeDevice('webgpu')
// A software driver compiles some hundred shaders for each graph.
const timeout = 400_000

describe('a graph for webgpu', () => {
  it('has no node with more outputs than a shader has buffers (regression: `Too many storage buffers in shader`)', () => {
    const model = drawModel(someOptions())
    const { node } = readModel(
      toOnnx(
        stepOutputs(model, phaseIn(buildInitialState(model, 'sampled', 'float32')), 'whole', 'float32').outputs,
        findDevice('webgpu').target,
      ),
    )
    expect(Math.max(...node.map(({ output }) => output.length))).toBeLessThanOrEqual(7)
    expect(node.filter(({ opType }) => opType === 'FusedMatMul')).toEqual([])
  })

  it('splits a vector into the same parts with one node or with several', async () => {
    const parts = split(input('x', [10], 'float32'), [1, 4, 2, 3])
    const outputs = Object.fromEntries(parts.map((part, i) => [`part${i}`, part]))
    for (const largestSplit of [4, 3]) {
      const bytes = toOnnx(outputs, { fusedMatMul: false, largestSplit })
      expect(readModel(bytes).node.filter(({ opType }) => opType === 'Split').length).toBe(largestSplit === 4 ? 1 : 0)
      const session = await ort.InferenceSession.create(bytes)
      const results = await session.run({
        x: new ort.Tensor(
          'float32',
          Float32Array.from({ length: 10 }, (_, i) => i),
          [10],
        ),
      })
      expect(parts.map((_, i) => Array.from(results[`part${i}`]?.data as Float32Array))).toEqual([[0], [1, 2, 3, 4], [5, 6], [7, 8, 9]])
      await session.release()
    }
  })
})

describe.skipIf(!works)('training on webgpu (skipped where no WebGPU device works)', () => {
  it('has no float node of a step on the CPU, and counts one where the graph has an operator that WebGPU lacks', async () => {
    const placements: Array<Placement | null> = []
    const settings = { threads: 1, onPlacement: (placement: Placement | null) => placements.push(placement) }
    const lacking = { provider: { name: 'webgpu' }, target: { ...webgpu.target, lacks: [] }, preallocatedOutputs: false, fallsBack: true }
    const y = logSoftmax(input('x', [2, 3], 'float32'))
    for (const engine of [webgpu.engine(settings), nodeEngine(lacking, settings)]) {
      const session = await engine.open({ y }, noWeights)
      await session.run({ x: { data: Float32Array.of(0, 1, 2, 3, 4, 5), shape: [2, 3] } })
      await session.release()
    }
    expect(placements.map((placement) => placement?.onCpu)).toEqual([{}, { LogSoftmax: 1 }])
    expect(placements[0]?.floatNodes).toBeGreaterThan(4)
  }, 60_000)

  it('keeps carried outputs and fixed inputs on the device, and copies them back when asked', async () => {
    const [w, x, pool] = ['w', 'x', 'pool'].map((name) => input(name, [100], 'float32')) as [Expression, Expression, Expression]
    const next = add(mul(w, 0.5), mul(x, pool))
    const options = { carry: { 'next w': 'w' }, fixed: ['pool'] }
    const session = await webgpu.engine({ threads: 1 }).open({ 'next w': next, sum: reduceSum(next) }, noWeights, options)
    const all = (value: number) => ({ data: new Float32Array(100).fill(value), shape: [100] })
    expect(await session.run({ w: all(4), x: all(2), pool: all(3) })).toEqual({ sum: Float32Array.of(800) })
    const other = session.another?.()
    expect(await other?.run({ w: all(2), x: all(1), pool: all(2) })).toEqual({ sum: Float32Array.of(300) })
    expect(await session.run({ x: all(1), pool: all(99) })).toEqual({ sum: Float32Array.of(700) })
    expect(await other?.run({ x: all(1) })).toEqual({ sum: Float32Array.of(350) })
    await other?.release()
    expect(await session.carried?.()).toEqual({ 'next w': all(7).data })
    expect(await session.run({ w: all(2), x: all(0) })).toEqual({ sum: Float32Array.of(100) })
    await session.release()
  }, 60_000)

  it('frees the weights of released sessions while another is open', async () => {
    const [rows, columns] = [1024, 8192]
    const data = new Uint8Array(4 * rows * columns) // 34 MB, in the memory of the process if the card is a program
    const matrix = weight('w', [rows, columns], 'float32', { location: 'w', offset: 0, length: data.length })
    const graph = { y: matMul(input('x', [1, rows], 'float32'), matrix) }
    const open = async () => {
      const session = await webgpu.engine({ threads: 1 }).open(graph, async () => async () => data)
      await session.run({ x: { data: new Float32Array(rows), shape: [1, rows] } })
      return session
    }
    const stays = await open()
    await (await open()).release()
    const before = process.memoryUsage.rss()
    for (let i = 0; i < 4; i++) await (await open()).release()
    expect((process.memoryUsage.rss() - before) / data.length).toBeLessThan(2)
    await stays.release()
  }, 60_000)

  it.each([{}, { rank: 1, lengths: [1], family: 'bert', taskType: 'regression', dropout: 0 }] as const)(
    'values and gradients on webgpu agree to 1e-3: %j',
    async (change) => {
      expect(disagreements(await compareStep(drawModel(someOptions(change)), target))).toEqual([])
    },
    timeout,
  )

  it(
    'ten steps on webgpu reach the same state to 1e-3',
    async () => {
      expect(disagreements(await compareSteps(drawModel(someOptions()), target, 10))).toEqual([])
    },
    timeout,
  )
})
