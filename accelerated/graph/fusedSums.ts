/**
 * Fused sums: where a product in int8 is added to thin products (an adapter's) and a bias, these become one product, as in torch.addmm. The sum then
 * passes over memory once: x + α₁ a₁ b₁ + α₂ a₂ b₂ + bias = x + [α₁ a₁, α₂ a₂, 1] · [b₁, b₂, bias], with bᵢ below each other. Only rounding differs.
 */
import { type Dimension, type Expression, type Outputs, rewrite, sameShape, topologicalOrder } from './expression.js'
import { add, addMatMul, concat, constant, expand, mul, reshape, transpose } from './operators.js'

export const fuseSums = (outputs: Outputs): Outputs => {
  const order = topologicalOrder(Object.values(outputs))
  if (!order.some(isInt8)) return outputs
  const readers = findReaders(order, outputs)
  const isInner = (node: Expression): boolean => {
    const [reader, more] = readers.get(node) ?? []
    return (
      isSum(node) && more === undefined && reader !== undefined && reader !== null && isSum(reader) && sameShape(reader.shape, node.shape)
    )
  }
  const isOnlyHere = (node: Expression): boolean => readers.get(node)?.length === 1
  const ones = onesByRows()
  return rewrite(outputs, (node, same, renewed) => {
    const terms = isSum(node) && !isInner(node) ? listTerms(node, isInner) : []
    return fusedSum(terms, renewed, isOnlyHere, ones) ?? same
  })
}

const isInt8 = ({ op }: Expression): boolean => op === 'QuantizedMatMul' || op === 'FourBitMatMul' || op === 'BlockMatMul'

/** null stands for the outputs. */
type Readers = ReadonlyMap<Expression, readonly (Expression | null)[]>

const findReaders = (order: readonly Expression[], outputs: Outputs): Readers => {
  const readers = new Map<Expression, (Expression | null)[]>(order.map((node) => [node, []]))
  for (const node of order) for (const x of node.inputs) readers.get(x)?.push(node)
  for (const node of Object.values(outputs)) readers.get(node)?.push(null)
  return readers
}

/** A sum of matrices, or of a matrix and a row. */
const isSum = ({ op, shape, dtype }: Expression): boolean => op === 'Add' && dtype === 'float32' && shape.length === 2

/** What a tree of sums adds, from left to right. Its depth is that of one layer's gradient: a few dozen. */
const listTerms = (sum: Expression, isInner: (node: Expression) => boolean): readonly Expression[] =>
  sum.inputs.flatMap((x) => (isInner(x) ? listTerms(x, isInner) : [x]))

/** The sum in its fused form; null if it has no product in int8 or nothing to fuse. */
const fusedSum = (
  terms: readonly Expression[],
  resolved: (node: Expression) => Expression,
  isOnlyHere: (node: Expression) => boolean,
  ones: (rows: Dimension) => Expression,
): Expression | null => {
  const full = terms.find(isInt8)
  if (full === undefined) return null
  const [rows = 1, columns = 1] = full.shape
  const products = terms.filter((term) => isThin(term) && isOnlyHere(term))
  const biases = terms.filter(({ shape }) => sameShape(shape, [columns]))
  const others = terms.filter((term) => !products.includes(term) && !biases.includes(term))
  if (products.length === 0 || !others.every(({ shape }) => sameShape(shape, full.shape))) return null
  const rest = others.map(resolved).reduce((sum, term) => add(sum, term))
  const [[first, ...moreProducts], ...moreBiases] = [products, ...biases]
  if (first !== undefined && moreProducts.length === 0 && moreBiases.length === 0) {
    const [a, b] = first.inputs.map(resolved)
    return a === undefined || b === undefined ? null : addMatMul(rest, a, b, first.attributes)
  }
  const left = [...products.map((product) => toLeftFactor(product, resolved)), ...biases.map(() => ones(rows))]
  const right = [
    ...products.map((product) => toRightFactor(product, resolved)),
    ...biases.map((bias) => reshape(resolved(bias), [columns, 1])),
  ]
  return addMatMul(rest, concat(left, 1), concat(right, 1), { transposeB: true })
}

/** Adapters of higher ranks are matrices of their own: their product costs more than the passes that a fused sum saves. */
const widest = 64

/** α a op(b) with few columns in a. */
const isThin = ({ op, shape, dtype, attributes, inputs: [a] }: Expression): boolean => {
  const inner = a?.shape[1]
  return (
    op === 'MatMul' &&
    dtype === 'float32' &&
    shape.length === 2 &&
    attributes.transposeA !== true &&
    typeof inner === 'number' &&
    inner <= widest
  )
}

type Resolved = (node: Expression) => Expression

/** α a: [rows, r] */
const toLeftFactor = ({ inputs: [a], attributes: { alpha = 1 } }: Expression, resolved: Resolved): Expression => {
  if (a === undefined) throw new Error('fuseSums: expected a product, got no factor')
  return alpha === 1 ? resolved(a) : mul(resolved(a), alpha)
}

/** b as [columns, r] */
const toRightFactor = ({ inputs: [, b], attributes: { transposeB = false } }: Expression, resolved: Resolved): Expression => {
  if (b === undefined) throw new Error('fuseSums: expected a product, got one factor')
  return transposeB ? resolved(b) : transpose(resolved(b), [1, 0])
}

/** A column of ones for each number of rows, made once. → [rows, 1] */
const onesByRows = (): ((rows: Dimension) => Expression) => {
  const made = new Map<Dimension, Expression>()
  const one = constant([1], [1, 1], 'float32')
  return (rows) => {
    const column = made.get(rows) ?? expand(one, [rows, 1])
    made.set(rows, column)
    return column
  }
}
