/** Recomputation: gradients are the same bits. The values inside a layer are computed twice, and the second time only when they are needed. */
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { topologicalOrder, type Expression } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { type OnnxTarget, toOnnx } from '../../../accelerated/graph/onnx.js'
import {
  add,
  controlDependency,
  exp,
  expand,
  gelu,
  input,
  layerNormalization,
  matMul,
  mul,
  checkpoint,
  reduceSum,
  reshape,
  selectRows,
  sigmoid,
  sliceVector,
  softmax,
  tanh,
} from '../../../accelerated/graph/operators.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { float32, float64, int64, readModel, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const [width, mostLayers] = [4, 4]
type Dtype = 'float32' | 'float64'
type Step = (h: Expression, layer: number) => Expression

/**
 * The steps of a layer, on its own weights or on values that all layers share. No weight serves two steps. Otherwise the order of a sum of
 * gradients would change where one of them passes through a value from outside.
 */
const stepsOf = (dtype: Dtype): Readonly<Record<string, Step>> => {
  const [weights, prefixes] = ['W', 'P'].map((name) =>
    Array.from({ length: mostLayers }, (_, i) => input(`${name}${i}`, [width, width], dtype)),
  )
  const [bias, scale, shift] = ['bias', 'scale', 'shift'].map((name) => input(name, [width], dtype)) as [Expression, Expression, Expression]
  const shared = tanh(input('shared', ['rows', width], dtype))
  const pool = input('pool', ['pool'], dtype)
  return {
    product: (h, layer) => add(matMul(h, weights?.[layer] as Expression, { transposeB: true }), bias),
    tanh: (h) => tanh(h),
    gelu: (h) => gelu(h),
    gate: (h) => mul(h, sigmoid(h)),
    residual: (h) => add(h, gelu(h)),
    skip: (h, layer) => add(h, matMul(h, weights?.[layer] as Expression, { transposeB: true })),
    shared: (h) => add(h, shared),
    norm: (h) => layerNormalization(h, scale, shift, 1e-3),
    attention: (h) => matMul(softmax(matMul(h, h, { transposeB: true })), h),
    dropout: (h, layer) => mul(h, sliceVector(pool, input(`offset${layer}`, [1], 'int64'), h)),
    prefix: (h, layer) => add(h, expand(reshape(reduceSum(prefixes?.[layer] as Expression, [0]), [1, width]), ['rows', width])),
  }
}
const names = Object.keys(stepsOf('float64'))

type Layers = readonly (readonly string[])[]

/** Layers one on the other, and the slopes of Σ h tanh h in all numbers that they are made of. */
const slopesOf = (
  layers: Layers,
  dtype: Dtype,
  again: boolean,
  read: (h: Expression) => Expression = (h) => h,
): Readonly<Record<string, Expression>> => {
  const steps = stepsOf(dtype)
  const x = input('x', ['rows', width], dtype)
  const top = layers.reduce((below, body, layer) => {
    const y = body.reduce((inner, name) => (steps[name] as Step)(inner, layer), below)
    return again ? checkpoint(y, below) : y
  }, x)
  const h = read(top)
  const loss = reduceSum(mul(h, tanh(h)))
  const targets = topologicalOrder([h]).filter(
    ({ op, attributes: { name = '' } }) => op === 'Input' && /^(x|bias|scale|shift|shared|[WP]\d)$/.test(name),
  )
  return { loss, ...Object.fromEntries(gradient(loss, targets).map((slope, i) => [`slope of ${targets[i]?.attributes.name}`, slope])) }
}

describe(`gradient checkpointing (seed ${SEED})`, () => {
  const layersDrawn = fc.array(fc.array(fc.constantFrom(...names), { maxLength: 5 }), { minLength: 1, maxLength: mostLayers })

  it.each(['float32', 'float64'] as const)('changes no bit of the value and the gradients in %s', (dtype) =>
    fc.assert(
      fc.asyncProperty(layersDrawn, fc.integer({ min: 1, max: 6 }), evenlyMany(-1, 1)(230), async (layers, rows, numbers) => {
        const floats = dtype === 'float64' ? float64 : float32
        const at = (start: number, shape: readonly number[]) =>
          floats(numbers.slice(start, start + shape.reduce((a, b) => a * b, 1)), shape)
        const feeds = {
          x: at(0, [rows, width]),
          shared: at(24, [rows, width]),
          bias: at(48, [width]),
          scale: at(92, [width]),
          shift: at(96, [width]),
          pool: at(52, [40]),
          ...Object.fromEntries(
            layers.flatMap((_, i) => ['W', 'P'].map((name, j) => [`${name}${i}`, at(100 + 16 * (2 * i + j), [width, width])])),
          ),
          ...Object.fromEntries(layers.map((_, i) => [`offset${i}`, int64([3 * i])])),
        }
        const run = (recompute: boolean) => withGraph(slopesOf(layers, dtype, recompute), (session) => session(feeds))
        const [kept, made] = [await run(false), await run(true)]
        expect(Object.keys(made)).toEqual(Object.keys(kept))
        expect(Object.keys(kept)).toContain('slope of x')
        for (const name of Object.keys(kept)) expect(resultOf(made, name), name).toEqual(resultOf(kept, name))
      }),
      { seed: SEED, numRuns: 40 },
    ),
  )

  /** As a head reads them. */
  const someRows = (h: Expression): Expression =>
    selectRows(h, input('index', ['selected'], 'int32'), input('inverse', ['rows'], 'int32'), { partial: true })

  /** Where sizes have names, as a device's other than the CPU's: without them nothing is fused that could be lost. */
  const named = { ...cpu.target, unknownShapes: false }

  const optimized = async (body: readonly string[], recomputed: boolean, target: OnnxTarget = named): Promise<readonly string[]> => {
    const layers = Array.from({ length: 3 }, () => body)
    return optimizedModel(toOnnx(slopesOf(layers, 'float32', recomputed, someRows), target))
  }

  const optimizedModel = async (model: Uint8Array): Promise<readonly string[]> => {
    const file = join(tmpdir(), `salora-recomputation-${process.pid}.onnx`)
    const session = await ort.InferenceSession.create(model, { optimizedModelFilePath: file, logSeverityLevel: 3 })
    await session.release()
    const { node } = readModel(await readFile(file))
    await rm(file)
    return node.map(({ opType }) => opType)
  }

  const count = (ops: readonly string[], op: string): number => ops.filter((opName) => opName === op).length

  it("recomputes: the optimized model has each layer's function and mask twice", async () => {
    const body = ['product', 'tanh', 'dropout']
    const [kept, made] = [await optimized(body, false), await optimized(body, true)]
    const ofLoss = 1 // the loss has a tanh of its own
    expect([count(kept, 'Tanh'), count(kept, 'Slice')]).toEqual([3 + ofLoss, 3])
    expect([count(made, 'Tanh'), count(made, 'Slice')]).toEqual([6 + ofLoss, 6])
  })

  it("keeps the runtime's fusions: a product and the following sum are one node, as without it", async () => {
    const body = ['tanh', 'skip']
    const [kept, made] = [await optimized(body, false), await optimized(body, true)]
    expect(count(kept, 'Gemm')).toBeGreaterThanOrEqual(2)
    expect(count(made, 'Gemm')).toBe(count(kept, 'Gemm'))
    expect(count(made, 'MatMul')).toBe(count(kept, 'MatMul'))
  })

  it('recomputes to the same bits where a provider has no Size, which a Shape that only a run knows replaces', async () => {
    const body = ['product', 'tanh', 'prefix']
    const withoutSize = { ...named, lacks: ['Size'] } as const
    const [counted, shaped] = [await optimized(body, true), await optimized(body, true, withoutSize)]
    expect([count(counted, 'Size') > 0, count(shaped, 'Size')]).toEqual([true, 0])
    expect(count(shaped, 'Tanh')).toBe(count(counted, 'Tanh'))
    // the value to wait for is of known sizes, and stays
    const waits = controlDependency(input('x', ['rows', width], 'float32'), [exp(input('w', [width, width], 'float32'))])
    expect(count(await optimizedModel(toOnnx({ y: tanh(waits) }, withoutSize)), 'Exp')).toBe(1)
    const numbers = (name: string): ort.Tensor => {
      const shape = /^[WP]/.test(name) ? [width, width] : /^(x|shared)$/.test(name) ? [3, width] : [width]
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1 + 3 * i + name.length))
      return new ort.Tensor('float32', data, shape)
    }
    const run = async (target: OnnxTarget): Promise<Readonly<Record<string, unknown>>> => {
      const session = await ort.InferenceSession.create(toOnnx(slopesOf([body, body], 'float32', true), target), { logSeverityLevel: 3 })
      const results = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, numbers(name)])))
      await session.release()
      return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, Array.from(data as Float32Array)]))
    }
    expect(await run(withoutSize)).toEqual(await run(named))
  })

  it("waits for the layer's gradient and for the weight gradients of the layer above", () => {
    const slopes = slopesOf(
      [
        ['product', 'tanh'],
        ['product', 'tanh'],
      ],
      'float32',
      true,
    )
    const waits = topologicalOrder(Object.values(slopes)).filter(({ op }) => op === 'ControlDependency')
    expect(waits).toHaveLength(2)
    const ofFirst = waits.find(({ inputs }) => inputs[0]?.op === 'Input')
    const shapes = (ofFirst?.inputs ?? []).slice(1).map(({ shape }) => shape.join('×'))
    expect(shapes).toContain(`rows×${width}`)
    expect(shapes).toContain(`${width}×${width}`)
    // the recomputed values of layer 1 are no inputs of those of layer 0
    expect(topologicalOrder(ofFirst?.inputs.slice(1) ?? []).filter((node) => node === waits.find((wait) => wait !== ofFirst))).toHaveLength(
      1,
    )
  })

  it('looks at nodes in proportion to the layers', () => {
    const looks = (layers: number): number => {
      let count = 0
      /** Counts how often the operands of a node are read. */
      const counted = (node: Expression): Expression =>
        Object.defineProperty({ ...node }, 'inputs', {
          enumerable: true,
          get: () => {
            count++
            return node.inputs
          },
        })
      const weights = Array.from({ length: layers }, (_, i) => input(`W${i}`, [width, width], 'float32'))
      const layer = (h: Expression, weight: Expression): Expression => {
        const gate = counted(sigmoid(counted(mul(weight, 2))))
        return counted(checkpoint(counted(tanh(counted(add(counted(matMul(h, gate)), h)))), h))
      }
      gradient(counted(reduceSum(weights.reduce(layer, input('x', ['rows', width], 'float32')))), weights)
      return count
    }
    expect(looks(128) / looks(16)).toBeLessThan(10)
  })

  it('orders values by control dependencies that change neither value nor size', async () => {
    const x = input('x', ['rows', width], 'float32')
    const late = controlDependency(x, [reduceSum(x), tanh(x)])
    expect(late.shape).toEqual(x.shape)
    const results = await withGraph({ late }, (session) => session({ x: float32([1, 2, 3, -0, 5, 6, 7, 8], [2, width]) }))
    expect(resultOf(results, 'late')).toEqual([1, 2, 3, -0, 5, 6, 7, 8])
  })
})
