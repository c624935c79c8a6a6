/**
 * Liveness: what a graph holds while it runs. Its nodes in the order in which ONNX Runtime runs them; each value from the node that makes it to
 * the last that reads it; an operator that works number by number takes the memory of an operand that nothing else reads.
 */
import { sizeOfDimension } from './dimension.js'
import type { DType, Expression, Op } from './expression.js'
import { topologicalOrder } from './expression.js'
import { lower } from './lowering.js'

/** Bytes asked for (> 0) or given back (< 0). */
export type Allocation = { readonly buffer: object; readonly bytes: number }

const bytesOfType: Readonly<Record<DType, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int8: 1,
  uint8: 1,
  bool: 1,
}

/** What is no node of its own, and what gives its operand's memory another name. */
const leaves = new Set<Op>(['Input', 'Constant', 'Weight', 'Size', 'Dequantise'])
const unwritten = new Set<Op>(['StopGradient', 'Recomputed', 'OutputOf'])
const renaming = new Set<Op>([...unwritten, 'Reshape', 'After'])
const inPlace = new Set<Op>([
  ...(['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Exp', 'Log', 'Sqrt', 'Sigmoid', 'Tanh', 'Relu', 'Clip'] as const),
  ...(['Softmax', 'LogSoftmax', 'Where', 'ScatterAddRows'] as const),
])

export const bytesOf = ({ shape, dtype }: Pick<Expression, 'shape' | 'dtype'>, sizes: Readonly<Record<string, number>>): number =>
  shape.reduce<number>((product, d) => product * sizeOfDimension(d, sizes, 'liveness'), bytesOfType[dtype])

/**
 * What a run of the graph asks for and gives back, in order. Outputs are given back at its end, when they have been copied.
 * @param sizes of the named dimensions, such as `tokens` @param given whether outputs lie in memory of the caller's, which is none of the graph's
 */
export const allocations = (
  roots: Readonly<Record<string, Expression>>,
  sizes: Readonly<Record<string, number>>,
  given: boolean,
): ReadonlyArray<Allocation> => {
  const outputs = Object.values(lower(roots)).map(written)
  const order = executionOrder(outputs)
  const memory = new Map<Expression, Buffer>()
  const bufferOf = (node: Expression): Buffer | undefined => memory.get(written(node))
  const readers = new Map<Expression, number>()
  for (const node of order) for (const operand of node.inputs.map(written)) readers.set(operand, (readers.get(operand) ?? 0) + 1)

  const kept = new Set(outputs)
  const events: Allocation[] = []
  const giveBack = (buffer: Buffer): void => {
    buffer.readers -= 1
    if (buffer.readers === 0 && buffer.bytes > 0) events.push({ buffer, bytes: -buffer.bytes })
  }
  for (const node of order) {
    const bytes = renaming.has(node.op) || (kept.has(node) && given) ? 0 : bytesOf(node, sizes)
    const buffer = reused(node, node.inputs.map(bufferOf), bytes) ?? { bytes, readers: 0 }
    if (buffer.readers === 0 && buffer.bytes > 0) events.push({ buffer, bytes: buffer.bytes })
    buffer.readers += 1 + (readers.get(node) ?? 0) + (kept.has(node) ? 1 : 0) // itself, until it is done
    memory.set(node, buffer)
    const scratch = workspace(node, sizes)
    if (scratch > 0) events.push({ buffer: node, bytes: scratch }, { buffer: node, bytes: -scratch })
    for (const read of [buffer, ...node.inputs.map(bufferOf)]) if (read !== undefined) giveBack(read)
  }
  for (const node of kept) {
    const buffer = memory.get(node)
    if (buffer !== undefined) giveBack(buffer)
  }
  return events
}

/** The most that is held at once. */
export const peakOf = (events: ReadonlyArray<Allocation>): number =>
  events.reduce(({ held, most }, { bytes }) => ({ held: held + bytes, most: Math.max(most, held + bytes) }), { held: 0, most: 0 }).most

/** How many nodes a graph has. */
export const nodeCount = (roots: Readonly<Record<string, Expression>>): number =>
  topologicalOrder(Object.values(lower(roots))).filter(({ op }) => !leaves.has(op) && !unwritten.has(op)).length

/** What is no node of its own stands for its operand. */
const written = (node: Expression): Expression => {
  const [first] = node.inputs
  return unwritten.has(node.op) && first !== undefined ? written(first) : node
}

type Buffer = { readonly bytes: number; readers: number }

/** An operand's memory, where the value is but another name for it or may be written over it. */
const reused = ({ op }: Expression, operands: ReadonlyArray<Buffer | undefined>, bytes: number): Buffer | undefined => {
  if (renaming.has(op)) return operands[0] ?? { bytes: 0, readers: 0 }
  return inPlace.has(op) ? operands.find((buffer) => buffer?.readers === 1 && buffer.bytes === bytes) : undefined
}

/** What a node holds beside operands and value while it runs: levels of quantised rows, rows divided by their scales, logarithms before one is taken of them. */
const workspace = ({ op, inputs: [x] }: Expression, sizes: Readonly<Record<string, number>>): number => {
  if (x === undefined) return 0
  if (op === 'QuantisedMatMul') return bytesOf({ shape: x.shape, dtype: 'uint8' }, sizes)
  if (op === 'HalfMatMul') return bytesOf(x, sizes) + bytesOf({ shape: x.shape, dtype: 'float16' }, sizes)
  return op === 'LogSumExp' ? bytesOf(x, sizes) : 0
}

/** As ONNX Runtime orders nodes: from those that nobody reads, depth first, of several the one that was written last. */
const executionOrder = (outputs: ReadonlyArray<Expression>): ReadonlyArray<Expression> => {
  const nodes = topologicalOrder(outputs).filter(({ op }) => !leaves.has(op) && !unwritten.has(op))
  const place = new Map(nodes.map((node, i) => [node, i]))
  const operandsOf = (node: Expression): ReadonlyArray<Expression> => [...new Set(node.inputs.map(written))].filter((x) => place.has(x))
  const read = new Set(nodes.flatMap(operandsOf))
  const byPlace = (a: Expression, b: Expression): number => (place.get(a) ?? 0) - (place.get(b) ?? 0)
  const stack = nodes.filter((node) => !read.has(node)).map((node) => ({ node, done: false }))
  const [order, seen]: [Expression[], Set<Expression>] = [[], new Set()]
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (top.done) order.push(top.node)
    else if (!seen.has(top.node)) {
      seen.add(top.node)
      stack.push({ node: top.node, done: true })
      for (const operand of [...operandsOf(top.node)].sort(byPlace)) if (!seen.has(operand)) stack.push({ node: operand, done: false })
    }
  }
  return order
}
