/** Graphs of values of 41 MB. glibc takes them from the system one by one and returns them, so the memory of a run is visible from outside. */
import type { Dimension, Expression } from '../../../accelerated/graph/expression.js'
import {
  add,
  clip,
  constant,
  exp,
  gelu,
  input,
  logSoftmax,
  logSumExp,
  matMul,
  mul,
  reduceSum,
  relu,
  scatterAddRows,
  sigmoid,
  softmax,
  split,
  sub,
  tanh,
} from '../../../accelerated/graph/operators.js'
import { quantizedMatMul } from '../../../accelerated/graph/quantizedOperators.js'

export const tokens = 10_000
const n = 1024
export const valueBytes = 4 * tokens * n

const matrix = (name: string, rows: number, columns: number): Expression => input(name, [rows, columns], 'float32')
const transposed = { transposeB: true }
const block = (rows: Dimension): Expression => {
  const h = input('h', [rows, 64], 'float32')
  const adapted = matMul(matMul(h, matrix('A', 8, 64), transposed), matrix('B', n, 8), transposed)
  const up = gelu(add(add(matMul(h, matrix('U', n, 64), transposed), input('bias', [n], 'float32')), adapted))
  const narrow = matMul(up, matrix('D', 64, n), transposed)
  return reduceSum(softmax(mul(matMul(tanh(narrow), matrix('U', n, 64), transposed), 2)), [1])
}
const layers = (rows: Dimension): Expression => {
  const through = (h: Expression, by: string, columns: number): Expression =>
    matMul(exp(matMul(h, matrix(by, 64, columns))), matrix(`back from ${by}`, columns, 64))
  const h = input('h', [rows, 64], 'float32')
  return reduceSum(through(through(through(h, 'U', n), 'V', n + 256), 'U', n))
}
const writtenOver = (): Expression => {
  const product = matMul(input('h', [tokens, 64], 'float32'), matrix('U', 64, n))
  return reduceSum(sigmoid(relu(clip(logSoftmax(softmax(tanh(product))), -1, 1))))
}
const addedUp = (rows: Dimension): Expression => {
  const products = matMul(input('h', [rows, 64], 'float32'), matrix('U', 64, n))
  return reduceSum(scatterAddRows(products, input('places', [rows], 'int32'), [rows, n]))
}
const logarithms = (): Expression => logSumExp(matMul(input('h', ['tokens', 64], 'float32'), matrix('U', 64, n)))
const quantized = (): Expression => {
  const levels = (rows: number, columns: number): Expression => constant(new Array<number>(64 * n).fill(1), [rows, columns], 'int8')
  const scales = constant(new Array<number>(n).fill(1), [n], 'float32')
  return reduceSum(quantizedMatMul(input('h', ['tokens', 64], 'float32'), { levels: levels(n, 64), transposed: levels(64, n), scales }))
}
const cut = (): Expression => {
  const [first, second] = split(input('vector', [2 * tokens * n], 'float32'), [tokens * n, tokens * n]) as [Expression, Expression]
  return reduceSum(mul(exp(first), sub(exp(second), 1)))
}

export const largeGraphs = {
  'of a size that each run brings': block('tokens'),
  'of two sizes in turn': layers('tokens'),
  'of a known size': block(tokens),
  'of two known sizes in turn': layers(tokens),
  'of a known size, written over number by number': writtenOver(),
  'cut from one': cut(),
  'with rows added up': addedUp('tokens'),
  'with rows of a known size added up': addedUp(tokens),
  'of which logarithms are taken': logarithms(),
  'in int8': quantized(),
} as const satisfies Readonly<Record<string, Expression>>
