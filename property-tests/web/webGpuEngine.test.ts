/** The engine of a browser's graphics card, on Node's runtime in its place: weights of 16 bits, state that stays, and a lost card. */
import * as native from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { noWeights, type WeightSource } from '../../accelerated/engines/engine.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { untilLost, type GpuDevice } from '../../accelerated/engines/lostDevice.js'
import { webGpu, type WebRuntime, widened } from '../../accelerated/engines/onnxRuntimeWeb.js'
import { topologicalOrder, type Expression } from '../../accelerated/graph/expression.js'
import { add, cast, gather, input, matMul, mul, reduceSum, transpose, weight } from '../../accelerated/graph/operators.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import { mixed } from '../../accelerated/precisions/mixed.js'
import { float32 } from '../../accelerated/precisions/index.js'
import { toFloat16 } from '../../accelerated/storage/float16.js'
import { readModel } from '../support/runGraph.js'

/** The file of an 8 × 4 table in float16, a 4 × 3 matrix in bfloat16 and three numbers in float32. It shares memory, as files that Node reads. */
const numbers = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i) * 3)
const upper = (of: Float32Array): Uint16Array => new Uint16Array(of.buffer).filter((_, i) => i % 2 === 1)
const file = Buffer.from([
  ...new Uint8Array(toFloat16(numbers).buffer),
  ...new Uint8Array(upper(numbers.slice(0, 12)).buffer),
  ...new Uint8Array(numbers.slice(0, 3).buffer),
])
const source: WeightSource = async () => async (location) => {
  expect(location).toBe('model.safetensors')
  return file
}
const stored = (name: string, shape: number[], dtype: 'float16' | 'bfloat16' | 'float32', offset: number, length: number): Expression =>
  cast(weight(name, shape, dtype, { location: 'model.safetensors', offset, length }), 'float32')
const graph = (): Readonly<Record<string, Expression>> => {
  const table = stored('table', [8, 4], 'float16', 0, 64)
  const matrix = stored('matrix', [4, 3], 'bfloat16', 64, 24)
  const bias = stored('bias', [3], 'float32', 88, 12)
  const rows = gather(table, input('at', [2], 'int32'))
  return { y: add(matMul(rows, matrix), bias), z: matMul(table, transpose(table, [1, 0])) }
}
const at = { data: Int32Array.of(5, 2), shape: [2] }
const halvesIn = (model: Uint8Array): number =>
  readModel(model).initializer.filter(({ dataType }) => dataType === 10 || dataType === 16).length

const halves = (outputs: Readonly<Record<string, Expression>>): number => halvesIn(toOnnx(outputs, { fusedMatMul: false }))

describe('weights of 16 bits', () => {
  it('have the same numbers in float32, and leave no value of 16 bits in the graph', async () => {
    const results = await Promise.all(
      [[graph(), source] as const, widened(graph(), source, ['float16', 'bfloat16'])].map(async ([outputs, weights]) => {
        const session = await cpu.engine({ threads: 1 }).open(outputs, weights)
        const { y, z } = await session.run({ at })
        await session.release()
        return [y, z]
      }),
    )
    expect(results[1]).toEqual(results[0])
    expect(new Set(Array.from(results[0]?.[0] ?? [], Number)).size).toBe(6)
    expect(halves(graph())).toBe(2)
    const [wide] = widened(graph(), source, ['float16', 'bfloat16'])
    expect(halves(wide)).toBe(0)
    expect([...new Set(topologicalOrder(Object.values(wide)).map(({ dtype }) => dtype))].sort()).toEqual(['float32', 'int32'])
    expect(halves(widened(graph(), source, ['bfloat16'])[0])).toBe(1)
  })

  it('are the only ones that change', () => {
    const outputs = { y: add(input('x', [2], 'float32'), 1) }
    expect(widened(outputs, noWeights, ['float16'])).toEqual([outputs, noWeights])
    expect(widened(graph(), source, [])[1]).toBe(source)
  })
})

/** Node's processor in place of the card. */
const standIn = (device: GpuDevice | undefined, asked: object[] = []): WebRuntime =>
  ({
    Tensor: native.Tensor,
    env: { webgpu: { device } },
    InferenceSession: {
      create: (model: Uint8Array, { preferredOutputLocation, ...options }: Record<string, unknown>) => {
        asked.push({ providers: options['executionProviders'], preferredOutputLocation, halves: halvesIn(model) })
        return native.InferenceSession.create(model, { ...options, executionProviders: ['cpu'] })
      },
    },
  }) as unknown as WebRuntime

describe('the graphics card of a browser', () => {
  it('keeps carried outputs there, and asks for no tensor back but the others', async () => {
    const [w, x] = [input('w', [3], 'float32'), input('x', [3], 'float32')]
    const next = add(mul(w, 0.5), x)
    const asked: object[] = []
    const engine = webGpu(async () => standIn(undefined, asked), { halves: false }).engine({ threads: 1 })
    const session = await engine.open({ 'next w': next, sum: reduceSum(next) }, noWeights, { carry: { 'next w': 'w' } })
    expect(asked.slice(1)).toEqual([
      { providers: [{ name: 'webgpu' }], preferredOutputLocation: { 'next w': 'gpu-buffer', sum: 'cpu' }, halves: 0 },
    ])
    const all = (value: number) => ({ data: new Float32Array(3).fill(value), shape: [3] })
    expect(await session.run({ w: all(4), x: all(1) })).toEqual({ sum: Float32Array.of(9) })
    expect(await session.run({ x: all(1) })).toEqual({ sum: Float32Array.of(7.5) })
    expect(await session.carried?.()).toEqual({ 'next w': all(2.5).data })
    await session.release()
  })

  it('gives what a session carries to another, which begins again from fed numbers', async () => {
    const [w, x, sum] = ['w', 'x', 'sum'].map((name) => input(name, [3], 'float32')) as [Expression, Expression, Expression]
    const [carriedIn, asked]: [object, object[]] = [{}, []]
    const engine = webGpu(async () => standIn(undefined, asked), { halves: false }).engine({ threads: 1 })
    const total = add(sum, mul(w, x))
    const parts = { carry: { 'next sum': 'sum' }, fixed: ['sum'], carriedIn }
    const adding = await engine.open({ 'next sum': total, part: reduceSum(mul(w, x)) }, noWeights, parts)
    const updating = await engine.open({ 'next w': add(w, total), norm: reduceSum(total) }, noWeights, {
      carry: { 'next w': 'w' },
      carriedIn,
    })
    const all = (value: number) => ({ data: new Float32Array(3).fill(value), shape: [3] })
    expect(await adding.run({ w: all(2), x: all(1), sum: all(0) })).toEqual({ part: Float32Array.of(6) })
    expect(await adding.run({ w: all(2), x: all(2) })).toEqual({ part: Float32Array.of(12) })
    expect(await updating.run({ w: all(2), x: all(0) })).toEqual({ norm: Float32Array.of(18) }) // w is then 8
    for (const _ of [1, 2]) expect(await adding.run({ x: all(1), sum: all(0) })).toEqual({ part: Float32Array.of(24) })
    expect(await updating.run({ x: all(0) })).toEqual({ norm: Float32Array.of(24) })
    expect(await updating.carried?.()).toEqual({ 'next w': all(16).data })
    const opened = asked.length
    expect(await updating.run({ x: all(1), sum: all(3) })).toEqual({ norm: Float32Array.of(57) })
    expect(asked.length).toBe(opened)
    await updating.release()
    await adding.release()
  })

  it('has other sessions of the same graph, each with a state of its own, whose release leaves the graph open', async () => {
    const [w, x] = [input('w', [3], 'float32'), input('x', [3], 'float32')]
    const next = add(w, x)
    const asked: object[] = []
    const engine = webGpu(async () => standIn(undefined, asked), { halves: false }).engine({ threads: 1 })
    const session = await engine.open({ 'next w': next, sum: reduceSum(mul(x, w)) }, noWeights, { carry: { 'next w': 'w' } })
    const all = (value: number) => ({ data: new Float32Array(3).fill(value), shape: [3] })
    const [one, two] = [session.another?.(), session.another?.()]
    expect(await one?.run({ w: all(1), x: all(1) })).toEqual({ sum: Float32Array.of(3) })
    expect(await two?.run({ w: all(5), x: all(1) })).toEqual({ sum: Float32Array.of(15) })
    expect(await one?.run({ x: all(1) })).toEqual({ sum: Float32Array.of(6) })
    await one?.release()
    expect(await two?.run({ x: all(1) })).toEqual({ sum: Float32Array.of(18) })
    expect(await two?.carried?.()).toEqual({ 'next w': all(7).data })
    expect(asked.length).toBe(3) // with the one that stays, and the one that reads
    await two?.release()
    await session.release()
  })

  it('copies fixed inputs to the card once, where nothing is carried', async () => {
    const [scale, x] = [input('scale', [3], 'float32'), input('x', [3], 'float32')]
    const asked: object[] = []
    const engine = webGpu(async () => standIn(undefined, asked), { halves: false }).engine({ threads: 1 })
    const session = await engine.open({ sum: reduceSum(mul(scale, x)) }, noWeights, { fixed: ['scale'] })
    const all = (value: number) => ({ data: new Float32Array(3).fill(value), shape: [3] })
    const runs = [session.run({ scale: all(2), x: all(1) }), session.run({ scale: all(2), x: all(3) })] // at once
    expect(await Promise.all(runs)).toEqual([{ sum: Float32Array.of(6) }, { sum: Float32Array.of(18) }])
    expect(await session.run({ scale: all(7), x: all(1) })).toEqual({ sum: Float32Array.of(6) }) // the numbers of the card
    expect(asked.slice(1)).toMatchObject([{ preferredOutputLocation: { sum: 'cpu' } }, { preferredOutputLocation: 'gpu-buffer' }])
    expect(session.carried).toBeUndefined()
    await session.release()
  })

  it('frees the weights of a released session by opening one with a convolution, unless the card is lost', async () => {
    const opened: string[] = []
    let fails = false
    const runtime = standIn(undefined)
    const create = async (model: Uint8Array, options: object) => {
      const session = await runtime.InferenceSession.create(model, options)
      const { node, initializer } = readModel(model)
      const operators = node.map(({ opType }) => opType).join()
      if (fails && operators === 'Conv') throw new Error('lost')
      opened.push(`${operators} of ${initializer.map(({ name }) => name).join()}`)
      return {
        ...session,
        inputNames: session.inputNames,
        run: session.run.bind(session),
        release: async () => void opened.push(`released ${operators}`),
      }
    }
    const ort = { ...runtime, InferenceSession: { create } } as unknown as WebRuntime
    const engine = webGpu(async () => ort, { halves: false }).engine({ threads: 1 })
    const sum = { y: add(input('x', [1], 'float32'), input('z', [1], 'float32')) }
    const product = { y: mul(input('x', [1], 'float32'), input('z', [1], 'float32')) }
    const [first, second] = [await engine.open(sum, noWeights), await engine.open(product, noWeights)]
    opened.splice(0)
    await first.release()
    expect(opened.splice(0)).toEqual(['released Add', 'Conv of w', 'released Conv'])
    fails = true
    await second.release()
    expect(opened).toEqual(['released Mul'])
  })

  it('without shader-f16 refuses products in float16, and runs a checkpoint that has it without any', async () => {
    for (const has of [true, false]) {
      const asked: object[] = []
      const card = webGpu(async () => standIn(undefined, asked), { halves: has })
      expect([card.target.halfMatMul, card.tolerances.float16 !== undefined]).toEqual([has, has])
      await checkDevice(float32, card)
      const session = await card.engine({ threads: 1 }).open(graph(), source)
      expect((await session.run({ at }))['y']?.length).toBe(6)
      expect(asked.at(-1)).toMatchObject({ halves: has ? 1 : 0 })
      await session.release()
    }
    const without = webGpu(async () => standIn(undefined), { halves: false })
    await expect(checkDevice(mixed, without)).rejects.toThrow('precision: expected float32 on this device, got mixed on webgpu')
  })
})

describe('a card that the browser takes away', () => {
  it('is not one that the library gave back', async () => {
    let device: GpuDevice = { lost: Promise.resolve({ message: 'Device was destroyed.', reason: 'destroyed' }) }
    const guard = untilLost(() => device)
    expect([await guard(async () => 1), await guard(async () => 2)]).toEqual([1, 2])
    device = { lost: Promise.resolve({ message: 'driver', reason: 'unknown' }) }
    await expect(guard(() => new Promise(() => undefined))).rejects.toThrow('got it lost (driver)')
  }, 5_000)

  const line = 'device webgpu: expected the graphics card until the run ends, got it lost (driver); reload the page and resume the run'

  it('ends each running call and every later one in one line, whether they fail or wait', async () => {
    let lose = (_: { readonly message: string }): void => undefined
    const lost = new Promise<{ readonly message: string }>((resolve) => {
      lose = resolve
    })
    const guard = untilLost(() => ({ lost }))
    expect(await guard(async () => 3)).toBe(3)
    const waiting = guard(() => new Promise(() => undefined))
    const failing = guard(() => Promise.reject(new Error('failed to call OrtRun()\n of many lines')))
    lose({ message: 'driver\nand more' })
    for (const call of [waiting, failing, guard(async () => 3)]) await expect(call).rejects.toMatchObject({ message: line })
  }, 5_000)

  it('leaves other failures as they are, before there is a device too', async () => {
    for (const device of [undefined, { lost: new Promise<never>(() => undefined) }])
      await expect(untilLost(() => device, 1)(() => Promise.reject(new Error('its own')))).rejects.toThrow('its own')
  })
})
