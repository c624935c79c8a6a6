/** How fast a machine multiplies matrices: what a step of the benchmark cannot exceed. And how many operations a step's products have. */
import { execFile } from 'node:child_process'
import { cpus } from 'node:os'
import { promisify } from 'node:util'
import { median } from 'simple-statistics'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { type Engine, noWeights } from '../../accelerated/engines/engine.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { resolveDimension } from '../../accelerated/graph/dimension.js'
import { type Expression, type Op, topologicalOrder } from '../../accelerated/graph/expression.js'
import { constant, input, matMul } from '../../accelerated/graph/operators.js'
import { quantizedMatMul } from '../../accelerated/graph/quantizedOperators.js'
import { uniforms } from '../../accelerated/parameters/random.js'

/** In 10⁹ operations a second: a multiplication and an addition for each term. */
export type ProductRates = {
  readonly processor: string
  readonly float32: number
  /** rounding of the rows included, as in a step */
  readonly int8: number
  /** PyTorch's; null where there is no Python */
  readonly bfloat16: number | null
}

/** A product whose time is measured. */
export type TimedProduct = {
  readonly operations: number
  /** [rows, inner] · [inner, columns] */
  readonly shape: string
  /** median milliseconds of some products */
  readonly run: () => Promise<number>
  readonly release: () => Promise<void>
}

/** Intermediate states by the output matrix of RoBERTa-base. A rate needs work that lasts longer than waking a thread does. */
const [inner, columns, runs] = [3072, 768, 7]
/** Tokens of four batches of 16 × 64. */
const tokens = 4096

const float32Product = (x: Expression): Expression =>
  matMul(x, constant(uniforms(3, 'order', 0, inner * columns), [inner, columns], 'float32'))

const int8Product = (x: Expression): Expression => {
  const levels = uniforms(3, 'order', 0, inner * columns).map((u) => Math.round(254 * u) - 127)
  return quantizedMatMul(x, { levels: constant(levels, [columns, inner], 'int8'), transposed: constant(levels, [inner, columns], 'int8') })
}

/** Opens a product of `rows` rows, and runs it once. */
export const openProduct = async (engine: Engine, rows: number, product = float32Product): Promise<TimedProduct> => {
  const { run, release } = await engine.open({ y: product(input('x', [rows, inner], 'float32')) }, noWeights)
  const x = { shape: [rows, inner], data: Float32Array.from(uniforms(2, 'order', 0, rows * inner)) }
  await run({ x })
  return {
    operations: 2 * rows * inner * columns,
    shape: `${rows} × ${inner} · ${inner} × ${columns}`,
    release,
    run: async () => {
      const times: number[] = []
      for (let i = 0; i < runs; i++) {
        const began = performance.now()
        await run({ x })
        times.push(performance.now() - began)
      }
      return median(times)
    },
  }
}

/** @param python a Python with torch, or null @throws InputError if it cannot multiply */
export const productRates = async (threads: number, python: string | null): Promise<ProductRates> => {
  const rate = async (product: (x: Expression) => Expression): Promise<number> => {
    const { operations, run, release } = await openProduct(findDevice('cpu').engine({ threads }), tokens, product)
    return operations / (await run().finally(release)) / 1e6
  }
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    float32: await rate(float32Product),
    int8: await rate(int8Product),
    bfloat16: python === null ? null : await rateInPython(python, threads),
  }
}

const program = `
import sys, time, torch
threads, rows, inner, columns, runs = map(int, sys.argv[1:])
if threads > 0:
    torch.set_num_threads(threads)
x, w = torch.rand(rows, inner).bfloat16(), torch.rand(columns, inner).bfloat16()
times = []
for _ in range(runs + 1):
    began = time.perf_counter()
    torch.nn.functional.linear(x, w)
    times.append(time.perf_counter() - began)
print(2e-9 * rows * inner * columns / sorted(times[1:])[runs // 2])
`

const rateInPython = async (python: string, threads: number): Promise<number> => {
  try {
    const { stdout } = await promisify(execFile)(python, ['-c', program, ...[threads, tokens, inner, columns, runs].map(String)])
    return Number(stdout)
  } catch (error) {
    const { stderr = '', message } = error as { readonly stderr?: string; readonly message: string }
    throw inputError(python, 'a Python that multiplies matrices by torch', stderr.trim().split('\n').at(-1) || message)
  }
}

/** The rates as rows of two cells. */
export const ratesCells = ({ processor, float32, int8, bfloat16 }: ProductRates): readonly (readonly [string, string])[] => [
  ['processor', processor],
  ['products in float32', `${float32.toFixed(0)} GFLOP/s`],
  ['products in int8', `${int8.toFixed(0)} GOP/s`],
  ...(bfloat16 === null ? [] : [['products in bfloat16 (PyTorch)', `${bfloat16.toFixed(0)} GFLOP/s`] as const]),
]

/** Floating-point operations of a graph's matrix products, those of its blocks included: a multiplication and an addition for each term. */
const products: ReadonlySet<Op> = new Set<Op>(['MatMul', 'QuantizedMatMul', 'FourBitMatMul', 'HalfMatMul'])

/** Σ 2 · m · n · p over the products that `roots` need, each once. @param sizes of the named dimensions, such as `tokens` */
export const productCount = (roots: readonly Expression[], sizes: Readonly<Record<string, number>>): number =>
  topologicalOrder(roots).reduce((count, { op, inputs: [a], attributes, shape }) => {
    const { body } = attributes
    if (body !== undefined) {
      const blocks = resolveDimension(a?.shape[0] ?? 1, sizes, 'productCount')
      return count + blocks * productCount([...body.results, ...body.sums], sizes)
    }
    if (!products.has(op) || a === undefined) return count
    const terms = [...shape, a.shape.at(attributes.transposeA === true ? -2 : -1) ?? 1]
    return count + 2 * terms.reduce<number>((product, d) => product * resolveDimension(d, sizes, 'productCount'), 1)
  }, 0)
