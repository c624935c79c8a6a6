/**
 * Chains of elementwise operators, block by block: the slope of GELU is ten of them. What a block needs stays in the processor's cache between operators,
 * whereas whole values would pass through memory at each. The numbers are the same.
 */
import { product } from './dimension.js'
import { type Expression, type Op, type Outputs, rewrite, sameShape, topologicalOrder } from './expression.js'
import { input, reshape, scan } from './operators.js'

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

export const chainsInBlocks = (outputs: Outputs): Outputs => {
  const order = topologicalOrder(Object.values(outputs))
  const chains = findChains(order, new Set(Object.values(outputs)))
  return rewrite(outputs, (node, same, renewed) => {
    const chain = chains.get(node)
    return chain === undefined ? same : inBlocks(chain, renewed)
  })
}

/** In topological order. Only the last link is read from outside. */
type Chain = readonly Expression[]

/** The chains by their last links. A link belongs to the chain that has all its readers, so that no value is computed earlier or held longer. */
const findChains = (order: readonly Expression[], results: ReadonlySet<Expression>): ReadonlyMap<Expression, Chain> => {
  const readers = new Map<Expression, Expression[]>(order.map((node) => [node, []]))
  for (const node of order) for (const x of node.inputs) readers.get(x)?.push(node)
  const lastLinks = new Map<Expression, Expression>()
  const backwards = new Map<Expression, Expression[]>()
  for (const node of [...order].reverse().filter(isLink)) {
    const [last, ...otherLasts] = new Set((readers.get(node) ?? []).map((reader) => lastLinks.get(reader)))
    const isInner = last !== undefined && otherLasts.length === 0 && !results.has(node)
    const ownLast = isInner ? last : node
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
