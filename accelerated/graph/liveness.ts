/**
 * Liveness: the memory that a graph holds while it runs on the CPU. Nodes are in the order in which ONNX Runtime runs them, and a value lives from its
 * node to its last reader. Buffers are reused for shapes that ONNX Runtime knows before the run, not for those that a run sets.
 * An element-wise operator then reuses an operand that nothing else reads, and other values reuse the buffer that was freed last.
 */
import { resolveDimension } from './dimension.js'
import { type Outputs, type DType, type Expression, type Op, topologicalOrder, type Shape } from './expression.js'
import { loweredOnce } from './lowering.js'

/** Bytes allocated (> 0) or freed (< 0). */
export type Allocation = { readonly buffer: object; readonly bytes: number }

const bytesPerElement: Readonly<Record<DType, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int8: 1,
  uint8: 1,
  uint4: 0.5,
  bool: 1,
}

/** Operators that are not nodes, and operators whose result is their operand's memory. */
const leaves = new Set<Op>(['Input', 'Constant', 'Weight', 'Size', 'Dequantize', 'FourBitDequantize', 'BlockDequantize'])
const transparent = new Set<Op>(['StopGradient', 'Checkpoint'])
const unwritten = new Set<Op>([...transparent, 'OutputOf'])
const renaming = new Set<Op>([...transparent, 'Reshape', 'ControlDependency'])
/** Operators that ONNX Runtime's CPU kernels may run in place. Measured: sums and products do not. */
const inPlace = new Set<Op>(['Sigmoid', 'Tanh', 'Relu', 'Clip', 'Softmax', 'LogSoftmax'])

export const countBytes = ({ shape, dtype }: Pick<Expression, 'shape' | 'dtype'>, sizes: Readonly<Record<string, number>>): number =>
  shape.reduce<number>((product, d) => product * resolveDimension(d, sizes, 'liveness'), bytesPerElement[dtype])

/**
 * The allocations of a run, in order. Outputs are freed at its end, after they were copied.
 * @param sizes of the named dimensions, such as `tokens` @param callerBuffers whether the caller brings the memory of the outputs
 */
export const allocations = (roots: Outputs, sizes: Readonly<Record<string, number>>, callerBuffers: boolean): readonly Allocation[] => {
  return listAllocations(Object.values(loweredOnce(roots)), sizes, callerBuffers)
}

const listAllocations = (
  outputs: readonly Expression[],
  sizes: Readonly<Record<string, number>>,
  callerBuffers: boolean,
): readonly Allocation[] => {
  const order = executionOrder(outputs.map(written))
  const parts = furtherOutputs(outputs)
  const valueFor = (node: Expression): Expression => {
    const [first] = node.inputs
    if (first === undefined) return node
    if (transparent.has(node.op)) return valueFor(first)
    return node.op === 'OutputOf' ? (parts.get(written(first))?.get(node.attributes.output) ?? node) : node
  }
  const readers = new Map<Expression, number>()
  for (const node of order) for (const operand of node.inputs.map(valueFor)) readers.set(operand, (readers.get(operand) ?? 0) + 1)
  const kept = new Set(outputs.map(valueFor))

  const memory = new Map<Expression, Buffer>()
  const { next, allocate, reuse, read, events } = timeline()
  const placed = (value: Expression, operands: readonly (Buffer | undefined)[]): Buffer => {
    if (renaming.has(value.op)) return operands[0] ?? allocate(0, null)
    if (kept.has(value)) return allocate(callerBuffers ? 0 : countBytes(value, sizes), null)
    const kind = toReuseKey(value)
    const writable = inPlace.has(value.op) && kind !== null
    const over = writable ? operands.find((buffer) => buffer?.kind === kind && buffer.readers === 1) : undefined
    return over ?? reuse(kind) ?? allocate(countBytes(value, sizes), kind)
  }
  for (const node of order) {
    for (const bytes of workspace(node, sizes, toReuseKey(node) !== null)) {
      next()
      allocate(bytes, null).until += 1
    }
    next()
    const operands = node.inputs.map((operand) => memory.get(valueFor(operand)))
    const made = [node, ...(parts.get(node)?.values() ?? [])].map((value) => {
      const buffer = placed(value, operands)
      buffer.readers += 1 + (readers.get(value) ?? 0) + (kept.has(value) ? 1 : 0) // itself, until it is done
      memory.set(value, buffer)
      return buffer
    })
    for (const buffer of [...made, ...operands]) read(buffer)
  }
  next()
  for (const value of kept) read(memory.get(value))
  return events()
}

/** The peak in bytes. */
export const findPeak = (events: readonly Allocation[]): number =>
  events.reduce(({ held, most }, { bytes }) => ({ held: held + bytes, most: Math.max(most, held + bytes) }), { held: 0, most: 0 }).most

/** The number of nodes of a graph. */
export const nodeCount = (roots: Outputs): number =>
  topologicalOrder(Object.values(loweredOnce(roots))).filter(({ op }) => !leaves.has(op) && !unwritten.has(op)).length

/** The further outputs of each node, by one of the expressions that read them. */
const furtherOutputs = (outputs: readonly Expression[]): ReadonlyMap<Expression, ReadonlyMap<unknown, Expression>> => {
  const parts = new Map<Expression, Map<unknown, Expression>>()
  for (const node of topologicalOrder(outputs)) {
    const [first] = node.inputs
    if (node.op !== 'OutputOf' || first === undefined) continue
    const outputsOfNode = parts.get(written(first)) ?? new Map<unknown, Expression>()
    parts.set(written(first), outputsOfNode)
    if (!outputsOfNode.has(node.attributes.output)) outputsOfNode.set(node.attributes.output, node)
  }
  return parts
}

/** The node behind operators that are not nodes themselves. */
const written = (node: Expression): Expression => {
  const [first] = node.inputs
  return unwritten.has(node.op) && first !== undefined ? written(first) : node
}

type Buffer = {
  readonly bytes: number
  /** type and shape of values that may reuse it; null if a run sets a size */
  readonly kind: string | null
  /** when it is allocated and freed */
  readonly since: number
  until: number
  /** the number of nodes that have not read it yet */
  readers: number
}

/** Buffers over time, and those that are free for reuse. */
const timeline = () => {
  const buffers: Buffer[] = []
  const spare = new Map<string | null, Buffer[]>()
  let now = 0
  return {
    next: (): void => {
      now += 1
    },
    allocate: (bytes: number, kind: string | null): Buffer => {
      const buffer = { bytes, kind, since: now, until: now, readers: 0 }
      if (bytes > 0) buffers.push(buffer)
      return buffer
    },
    reuse: (kind: string | null) => spare.get(kind)?.pop(),
    read: (buffer: Buffer | undefined): void => {
      if (buffer === undefined) return
      buffer.readers -= 1
      buffer.until = now
      if (buffer.readers > 0 || buffer.kind === null) return
      const others = spare.get(buffer.kind) ?? []
      spare.set(buffer.kind, others)
      others.push(buffer)
    },
    events: (): readonly Allocation[] =>
      buffers
        .flatMap((buffer) => [
          { at: 2 * buffer.since, buffer, bytes: buffer.bytes },
          { at: 2 * buffer.until + 1, buffer, bytes: -buffer.bytes },
        ])
        .sort((a, b) => a.at - b.at),
  }
}

const toReuseKey = ({ shape, dtype }: Expression): string | null => (shape.every((d) => typeof d === 'number') ? `${dtype} ${shape}` : null)

/**
 * Bytes of a node's intermediate values, each made of the one before: rows divided by their scales, levels, or all logarithms before one is
 * selected. A Scan needs what one block needs, and writes its result in place. @param overwrites whether its result may take the memory of an operand
 */
const workspace = (node: Expression, sizes: Readonly<Record<string, number>>, overwrites: boolean): readonly number[] => {
  const { op, inputs, attributes } = node
  const [x] = inputs
  if (x === undefined) return []
  const bytes = (value: Expression, dtype: DType = value.dtype): number => countBytes({ shape: value.shape, dtype }, sizes)
  const { body } = attributes
  if (body !== undefined) {
    const sums = 2 * body.sums.reduce((total, value) => total + bytes(value), 0) // so far, and with this slice
    return [sums + findPeak(listAllocations([...body.results, ...body.sums], sizes, true))]
  }
  if (op === 'QuantizedMatMul') return [bytes(x, 'uint8'), bytes(node)]
  if (op === 'FourBitMatMul') {
    const [, levels = x] = inputs
    const expanded = bytes(levels, 'uint8') // from four bits, then times the scales of blocks
    return [bytes(x, 'int8'), expanded, expanded, bytes(node)]
  }
  if (op === 'HalfMatMul') return [bytes(x), bytes(x, 'float16'), bytes(node, 'float16'), bytes(node)]
  if (op === 'ScatterAddRows') return overwrites ? [] : [bytes(node)]
  if (op === 'ReplaceColumns') return [bytes(inputs[1] ?? x, 'int64')]
  return op === 'LogSumExp' ? [bytes(x)] : []
}

/** ONNX Runtime's order of nodes: depth first from the nodes without readers, the one written last first. */
const executionOrder = (outputs: readonly Expression[]): readonly Expression[] => {
  const nodes = topologicalOrder(outputs).filter(({ op }) => !leaves.has(op) && !unwritten.has(op))
  const place = new Map(nodes.map((node, i) => [node, i]))
  const listOperands = (node: Expression): readonly Expression[] => [...new Set(node.inputs.map(written))].filter((x) => place.has(x))
  const read = new Set(nodes.flatMap(listOperands))
  const byPlace = (a: Expression, b: Expression): number => (place.get(a) ?? 0) - (place.get(b) ?? 0)
  const stack = nodes.filter((node) => !read.has(node)).map((node) => ({ node, done: false }))
  const [order, seen]: [Expression[], Set<Expression>] = [[], new Set()]
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (top.done) order.push(top.node)
    else if (!seen.has(top.node)) {
      seen.add(top.node)
      stack.push({ node: top.node, done: true })
      for (const operand of [...listOperands(top.node)].sort(byPlace)) if (!seen.has(operand)) stack.push({ node: operand, done: false })
    }
  }
  return order
}

type Sizes = Readonly<Record<string, number>>

/** How a weight is read: in products as stored or transposed, by rows, or as a whole. */
type Use = { readonly products: Set<boolean>; rows: number; whole: boolean }

/** A mapped file is read in pages. */
const page = 4096

/** @param reordered whether the runtime keeps a reordered copy of a float32 matrix for each orientation in products, and releases the original */
export const weightMemory = (roots: Outputs, sizes: Sizes, reordered: boolean): number => {
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
  const bytes = countBytes(node, {})
  const copies = reordered && node.dtype === 'float32' && node.shape.length === 2 ? products.size : 0
  if (whole || (products.size > 0 && copies === 0) || node.op === 'Cast')
    return bytes * (copies + (products.size > copies || whole || rows > 0 ? 1 : 0))
  const rowBytes = bytes / Math.max(1, Number(node.shape[0] ?? 1))
  return bytes * copies + Math.min(bytes, rows * Math.max(page, rowBytes))
}

const count = (shape: Shape, sizes: Sizes): number =>
  shape.reduce<number>((product, d) => product * resolveDimension(d, sizes, 'weightMemory'), 1)
