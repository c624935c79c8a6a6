/**
 * Products whose every term is the largest, in each kind of low precision, and what their sums must be: arithmetic. x86 without VNNI adds products of
 * uint8 and int8 in pairs of 16 bits, which saturate: then 768 ones have the sum 6.07. Random matrices show this in 4.5 % of their sums only.
 * As a program, prints the wrong sums on this processor as JSON.
 */
import { argv } from 'node:process'
import { pathToFileURL } from 'node:url'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { onnxRuntime } from '../../accelerated/engines/loadOnnxRuntime.js'
import type { Expression } from '../../accelerated/graph/expression.js'
import { gradient } from '../../accelerated/graph/gradient.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { constant, input, matMul, reduceSum } from '../../accelerated/graph/operators.js'
import { blockDequantize, blockSize, fourBitMatMul, quantizedMatMul, transposedView } from '../../accelerated/graph/quantizedOperators.js'
import { fourBits, computeBlockScales } from '../../accelerated/precisions/int4/int4.js'
import {
  portableLevel,
  quantizedBlocks,
  rowLevels,
  rowScales,
  transposeLevels,
  unsignedLevels,
} from '../../accelerated/precisions/int8/quantize.js'

const [columns, outputs] = [768, 32]
const blocks = columns / blockSize
const shape = [outputs, columns] as const

/** W: [outputs, columns] */
type Product = { readonly multiply: (x: Expression, W: Float32Array) => Expression; readonly hasGradient: boolean }

const eightBits = (type: 'int8' | 'uint8', oneLayout: boolean): Product => ({
  hasGradient: true,
  multiply: (x, W) => {
    const scales = rowScales(W, shape)
    const levels = rowLevels(W, scales)
    const inType = (all: Int8Array, [n, m]: readonly [number, number]) =>
      constant(type === 'int8' ? all : unsignedLevels(all), [n, m], type)
    const stored = inType(levels, shape)
    const transposed = oneLayout ? transposedView(stored) : inType(transposeLevels(levels, shape), [columns, outputs])
    return quantizedMatMul(x, { levels: stored, transposed, scales: constant(scales, [outputs], 'float32') })
  },
})

/** For generation: without a gradient. */
const inBlocks = (levelsOf: (W: Float32Array) => { readonly levels: Uint8Array; readonly scales: Float32Array }): Product => ({
  hasGradient: false,
  multiply: (x, W) => {
    const { levels, scales } = levelsOf(W)
    const stored = constant(levels, [outputs, blocks, levels.length / (outputs * blocks)], 'uint8')
    return matMul(x, blockDequantize(stored, constant(scales, [outputs, blocks], 'float32'), columns), { transposeB: true })
  },
})

export const products = {
  'int8 in both layouts': eightBits('int8', false),
  'int8 in one layout': eightBits('int8', true),
  'uint8 in both layouts': eightBits('uint8', false),
  'uint8 in one layout': eightBits('uint8', true),
  'four bits': {
    hasGradient: true,
    multiply: (x, W) => {
      const { levels, blockScales, scales } = fourBits(W, shape)
      const unpacked = [...levels].flatMap((two) => [two & 15, two >> 4])
      return fourBitMatMul(x, {
        levels: constant(unpacked, [outputs, blocks, blockSize], 'uint4'),
        blockScales: constant(blockScales, [outputs, blocks], 'uint8'),
        scales: constant(scales, [outputs], 'float32'),
        columns,
      })
    },
  },
  'blocks of eight bits': inBlocks((W) => quantizedBlocks(W, shape, blockSize)),
  'blocks of four bits': inBlocks((W) => {
    const rounded = fourBits(W, shape)
    return { levels: rounded.levels, scales: computeBlockScales(rounded) }
  }),
} as const satisfies Readonly<Record<string, Product>>

/** Single rows and several have kernels of their own. */
const rowCounts = [1, 3, 70]
const signs = [1, -1]

/** A sum by its product, its operands and its place. */
type WrongSum = { readonly sum: string; readonly expected: number; readonly found: number }

/** The first wrong sum of each run of this product; none where it is exact. */
export const wrongSums = async (name: keyof typeof products): Promise<readonly WrongSum[]> => {
  const { multiply, hasGradient } = products[name]
  const wrong: WrongSum[] = []
  for (const w of signs) {
    const x = input('x', ['rows', columns], 'float32')
    const y = multiply(x, new Float32Array(outputs * columns).fill(w))
    const [slope] = hasGradient ? gradient(reduceSum(y), [x]) : []
    const session = await cpu.engine({ threads: 1 }).open(slope === undefined ? { y } : { y, slope }, noWeights)
    for (const rows of rowCounts)
      for (const a of signs) {
        const results = await session.run({ x: { data: new Float32Array(rows * columns).fill(a), shape: [rows, columns] } })
        const expectAll = (output: string, expected: number): void => {
          const found = Array.from(results[output] ?? [NaN], Number).find((value) => !(Math.abs(value / expected - 1) < 1e-4))
          if (found !== undefined) wrong.push({ sum: `${output} of ${rows} rows of ${a} with ${w} in ${name}`, expected, found })
        }
        expectAll('y', columns * a * w)
        if (hasGradient) expectAll('slope', outputs * w) // Σ over outputs of 1 · W
      }
    await session.release()
  }
  return wrong
}

/** The same for an exported encoder: plain ONNX and seven bits, in a session as other programs open it. */
export const wrongExportedSums = async (): Promise<readonly WrongSum[]> => {
  const ort = await onnxRuntime()
  const wrong: WrongSum[] = []
  for (const w of signs) {
    const W = new Float32Array(outputs * columns).fill(w)
    const scales = rowScales(W, shape, portableLevel)
    const levels = constant(rowLevels(W, scales, portableLevel), shape, 'int8')
    const matrix = { levels, transposed: transposedView(levels), scales: constant(scales, [outputs], 'float32') }
    const y = quantizedMatMul(input('x', ['rows', columns], 'float32'), matrix)
    const session = await ort.InferenceSession.create(toOnnx({ y }, { fusedMatMul: false, quantizedMatMul: 'plain' }), {
      intraOpNumThreads: 1,
    })
    for (const rows of rowCounts)
      for (const a of signs) {
        const x = new ort.Tensor('float32', new Float32Array(rows * columns).fill(a), [rows, columns])
        const { y: sums } = await session.run({ x })
        const expected = columns * a * w
        const found = Array.from((sums?.data ?? [NaN]) as Float32Array).find((value) => !(Math.abs(value / expected - 1) < 1e-4))
        if (found !== undefined) wrong.push({ sum: `y of ${rows} rows of ${a} with ${w} in an export`, expected, found })
      }
    await session.release()
  }
  return wrong
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) {
  const wrong: WrongSum[] = []
  for (const name of Object.keys(products) as (keyof typeof products)[]) wrong.push(...(await wrongSums(name)))
  process.stdout.write(JSON.stringify([...wrong, ...(await wrongExportedSums())]))
}
