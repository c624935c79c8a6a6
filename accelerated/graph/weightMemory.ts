/** The memory that a session needs for its graph's weights: the file's pages that it reads, and copies of cast or reordered weights. */
import { sizeOfDimension } from './dimension.js'
import type { Expression, Shape } from './expression.js'
import { topologicalOrder } from './expression.js'
import { bytesOf } from './liveness.js'

type Sizes = Readonly<Record<string, number>>

/** How a weight is read: in products as stored or transposed, by rows, or as a whole. */
type Use = { readonly products: Set<boolean>; rows: number; whole: boolean }

/** A mapped file is read in pages. */
const page = 4096

/** @param reordered whether the runtime keeps a reordered copy of a float32 matrix for each orientation in products, and releases the original */
export const weightMemory = (roots: Readonly<Record<string, Expression>>, sizes: Sizes, reordered: boolean): number => {
  const order = topologicalOrder(Object.values(roots))
  const constants = new Set(order.filter(({ op, inputs: [x] }) => op === 'Weight' || (op === 'Cast' && x?.op === 'Weight')))
  const uses = new Map<Expression, Use>()
  const addUse = (node: Expression | undefined, change: (use: Use) => void): void => {
    if (node === undefined || !constants.has(node)) return
    const use = uses.get(node) ?? { products: new Set<boolean>(), rows: 0, whole: false }
    uses.set(node, use)
    change(use)
  }
  for (const { op, inputs, attributes } of order.filter(
    (node) => !constants.has(node) && !['Dequantize', 'FourBitDequantize', 'BlockDequantize'].includes(node.op),
  )) {
    const [first, second, third, fourth] = inputs
    if (op === 'HalfMatMul') addUse(second, (use) => (use.whole = true))
    else if (op === 'MatMul') addUse(second, ({ products }) => products.add(attributes.transposeB === true))
    else if (op === 'Gather' || op === 'SelectRows') addUse(first, (use) => (use.rows += count(second?.shape ?? [], sizes)))
    else if (op === 'QuantizedMatMul') for (const part of [third, fourth]) addUse(part, (use) => (use.whole = true))
    else for (const operand of inputs) addUse(operand, (use) => (use.whole = true))
    if (op === 'MatMul') addUse(first, (use) => (use.whole = true))
  }
  return [...uses].reduce((sum, [node, use]) => sum + held(node, use, reordered), 0)
}

const held = (node: Expression, { products, rows, whole }: Use, reordered: boolean): number => {
  const bytes = bytesOf(node, {})
  const copies = reordered && node.dtype === 'float32' && node.shape.length === 2 ? products.size : 0
  if (whole || (products.size > 0 && copies === 0) || node.op === 'Cast')
    return bytes * (copies + (products.size > copies || whole || rows > 0 ? 1 : 0))
  const rowBytes = bytes / Math.max(1, Number(node.shape[0] ?? 1))
  return bytes * copies + Math.min(bytes, rows * Math.max(page, rowBytes))
}

const count = (shape: Shape, sizes: Sizes): number =>
  shape.reduce<number>((product, d) => product * sizeOfDimension(d, sizes, 'weightMemory'), 1)
