/** Fusion: several nodes of a graph become one, or run block by block, so that values pass through memory less often. */
import { type Dimension, type Expression, type Outputs, rewrite, sameShape, topologicalOrder, type Op } from './expression.js'
import { add, addMatMul, concat, constant, expand, mul, reshape, transpose, split, input, scan } from './operators.js'
import { bitsPerLevel, blockMatMul } from './quantizedOperators.js'
import { product } from './dimension.js'

/**
 * Where a product in int8 is added to thin products (an adapter's) and a bias, these become one product, as in torch.addmm. The sum then passes over
 * memory once: x + α₁ a₁ b₁ + α₂ a₂ b₂ + bias = x + [α₁ a₁, α₂ a₂, 1] · [b₁, b₂, bias], with bᵢ below each other. Only rounding differs.
 */
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

/**
 * Products of one x with several matrices in blocks become one product with these matrices below each other, cut into parts again.
 * The matrices of a product have the same bits.
 * Generation multiplies single rows, so a product takes a few microseconds; starting it, and the threads that share it, costs as much. Only
 * rounding may differ, where a matrix does not fill the runtime's tiles.
 */
export const stackProducts = (outputs: Outputs): Outputs => {
  const groups = new Map<Expression, Expression[]>()
  for (const node of topologicalOrder(Object.values(outputs))) {
    const [x] = node.inputs
    if (node.op === 'BlockMatMul' && x !== undefined) groups.set(x, [...(groups.get(x) ?? []), node])
  }
  if (![...groups.values()].some(({ length }) => length > 1)) return outputs
  const parts = new Map<Expression, Expression>()
  return rewrite(outputs, (node, same, renewed) => {
    const part = parts.get(node)
    if (part !== undefined) return part
    const [x] = node.inputs
    const all = node.op === 'BlockMatMul' && x !== undefined ? (groups.get(x) ?? []) : []
    const group = all.filter((other) => findBits(other) === findBits(node))
    if (x === undefined || group.length < 2) return same
    stacked(renewed(x), group).forEach((one, i) => parts.set(group[i] ?? node, one))
    return parts.get(node) ?? same
  })
}

const findBits = ({ inputs: [, levels] }: Expression): number | null => (levels === undefined ? null : bitsPerLevel(levels))

const stacked = (x: Expression, products: readonly Expression[]): readonly Expression[] => {
  const part = (at: 1 | 2): Expression =>
    concat(
      products.flatMap(({ inputs }) => inputs[at] ?? []),
      0,
    )
  return split(
    blockMatMul(x, part(1), part(2)),
    products.map(({ shape }) => Number(shape[1])),
    1,
  )
}

/** Fewer slices are left alone: a value may be large, and a Split holds all parts of it at once. */
const manyParts = 8

type Sliced = { readonly x: Expression; readonly axis: number; readonly slices: readonly Expression[] }

/** Slices that together are a whole axis become parts of one Split: a node with many results takes less time to plan than many nodes. */
export const splitSlices = (outputs: Outputs): Outputs => {
  const groups = findFullSplits(topologicalOrder(Object.values(outputs)))
  const parts = new Map<Expression, Expression>()
  return rewrite(outputs, (node, same, renewed) => {
    const group = groups.get(node)
    if (group !== undefined && !parts.has(node)) {
      const sizes = group.slices.map(({ shape }) => Number(shape[group.axis]))
      split(renewed(group.x), sizes, group.axis).forEach((part, i) => parts.set(group.slices[i] ?? node, part))
    }
    return parts.get(node) ?? same
  })
}

/** By slice, the many slices of one value that follow one another from the start of an axis to its end. */
const findFullSplits = (order: readonly Expression[]): ReadonlyMap<Expression, Sliced> => {
  const byValue = new Map<Expression, Map<number, Expression[]>>()
  for (const node of order) {
    const [x] = node.inputs
    const { axis = 0, before, after } = node.attributes
    if (node.op !== 'Slice' || x === undefined || typeof before !== 'number' || typeof after !== 'number') continue
    const byAxis = byValue.get(x) ?? new Map<number, Expression[]>()
    byValue.set(x, byAxis.set(axis, [...(byAxis.get(axis) ?? []), node]))
  }
  const groups = new Map<Expression, Sliced>()
  for (const [x, byAxis] of byValue)
    for (const [axis, found] of byAxis) {
      const slices = found.toSorted((a, b) => Number(a.attributes.before) - Number(b.attributes.before))
      if (slices.length >= manyParts && follow(slices, axis, x.shape[axis]))
        for (const slice of slices) groups.set(slice, { x, axis, slices })
    }
  return groups
}

const follow = (slices: readonly Expression[], axis: number, size: unknown): boolean => {
  const end = slices.reduce((at, { shape, attributes }) => (attributes.before === at ? at + Number(shape[axis]) : NaN), 0)
  return end === size
}

/** A value is cut without regard to its rows, so that any number of rows will do. */
const blocks = 16
/** A shorter chain passes through memory too rarely. */
const shortest = 5
/** Narrower values of a usual batch are in the cache anyway: those of feed-forward layers are wide. */
const narrowest = 2048

const elementwise = new Set<Op>([
  ...(['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Exp', 'Log', 'Sqrt', 'Sigmoid', 'Tanh', 'Erf', 'Sin', 'Cos'] as const),
  ...(['Gelu', 'Relu', 'Clip', 'Less', 'Equal', 'Min', 'Max', 'Where', 'Cast'] as const),
])

const isNumber = ({ shape }: Expression): boolean => shape.every((d) => d === 1)

/** An elementwise operator over rows whose number a run sets. Its operands have its shape or are numbers. */
const isLink = ({ op, shape, inputs }: Expression): boolean =>
  elementwise.has(op) &&
  shape.length === 2 &&
  typeof shape[0] === 'string' &&
  typeof shape[1] === 'number' &&
  shape[1] >= narrowest &&
  shape[1] % blocks === 0 &&
  inputs.every((x) => sameShape(x.shape, shape) || isNumber(x))

/**
 * Chains of elementwise operators, block by block: the slope of GELU is ten of them. What a block needs stays in the processor's cache between
 * operators, whereas whole values would pass through memory at each. The numbers are the same.
 */
export const chainsInBlocks = (outputs: Outputs): Outputs => {
  const chains = findChains(outputs)
  return rewrite(outputs, (node, same, renewed) => {
    const chain = chains.get(node)
    return chain === undefined ? same : inBlocks(chain, renewed)
  })
}

/** In topological order. Only the last link is read from outside. */
type Chain = readonly Expression[]

/** The chains by their last links. A link belongs to the chain that has all its readers, so that no value is computed earlier or held longer. */
const findChains = (outputs: Outputs): ReadonlyMap<Expression, Chain> => {
  const order = topologicalOrder(Object.values(outputs))
  const readers = findReaders(order, outputs)
  const lastLinks = new Map<Expression | null, Expression>()
  const backwards = new Map<Expression, Expression[]>()
  for (const node of [...order].reverse().filter(isLink)) {
    const [last, ...otherLasts] = new Set((readers.get(node) ?? []).map((reader) => lastLinks.get(reader)))
    const ownLast = last !== undefined && otherLasts.length === 0 ? last : node
    lastLinks.set(node, ownLast)
    backwards.set(ownLast, backwards.get(ownLast) ?? [])
    backwards.get(ownLast)?.push(node)
  }
  return new Map([...backwards].filter(([, links]) => links.length >= shortest).map(([last, links]) => [last, links.reverse()]))
}

/** The chain's last value, from blocks of the values that it reads. */
const inBlocks = (chain: Chain, resolved: (node: Expression) => Expression): Expression => {
  const last = chain.at(-1)
  if (last === undefined) throw new Error('chainsInBlocks: expected a chain, got none')
  const [rows = 1, columns] = last.shape
  const blockShape = [product([Number(columns) / blocks, rows])]
  const inside = new Map<Expression, Expression>()
  const [slices, shared] = [new Map<Expression, Expression>(), new Map<Expression, Expression>()]
  const inBlock = (x: Expression): Expression => {
    const known = inside.get(x)
    if (known !== undefined) return known
    const whole = isNumber(x)
    const standIn = input('', whole ? x.shape : blockShape, x.dtype)
    if (whole) shared.set(resolved(x), standIn)
    else slices.set(reshape(resolved(x), [blocks, ...blockShape]), standIn)
    inside.set(x, standIn)
    return standIn
  }
  for (const node of chain) inside.set(node, { ...node, inputs: node.inputs.map(inBlock), shape: blockShape })
  const body = { slices: [...slices.values()], shared: [...shared.values()], results: [inBlock(last)], sums: [] }
  const [whole] = scan(slices.keys(), shared.keys(), body)
  return reshape(whole, last.shape)
}
