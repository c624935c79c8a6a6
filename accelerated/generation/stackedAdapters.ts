/**
 * Rows of one batch that have different LoRA adapters. The factors of all adapters stand one below another, as one adapter of their ranks' sum, and
 * gates let each token through the components of its own row's: h = Wx + Σ B (g ⊙ Ax), equation (5) with a g for each token.
 */
import { product } from '../graph/dimension.js'
import type { Expression, FloatType } from '../graph/expression.js'
import { add, input, less, matMul, mul, scalar, where } from '../graph/operators.js'
import { floatFeed, type Feed, type Feeds } from '../engines/feeds.js'
import type { Method } from '../methods/method.js'
import type { Matrix, Model } from '../models/architecture.js'
import { zeros, type Vector } from '../parameters/vectors.js'
import type { Assembly } from '../training/assembly.js'

/** rank: of all its matrices. factors, by input: A [rank, k], and B, with its scale, transposed to [rank, d] */
export type RowAdapter = { readonly rank: number; readonly factors: ReadonlyMap<string, Vector> }

/** The inputs of a matrix: its factors, one below another. */
const inputNames = (matrix: string) => [`${matrix}.A`, `${matrix}.B`] as const

/** For each token, above 0 in the components of its own adapter: [batch · sequence, Σ rank] */
const gates = 'gates'

/** LoRA of one rank on every matrix, with a scale of 1: A [rank, k] and B [d, rank] by their matrices' names */
type PlainLora = {
  readonly model: Pick<Model, 'spec'>
  readonly tensors: ReadonlyMap<string, { readonly data: ArrayLike<number> }>
}

export const toRowAdapter = ({ model, tensors }: PlainLora, dtype: FloatType): RowAdapter => {
  const read = (name: string): ArrayLike<number> => {
    const found = tensors.get(name)
    if (found === undefined) throw new Error(`toRowAdapter: expected factors of every matrix, got no ${name}`)
    return found.data
  }
  const [first] = model.spec.matrices
  const rank = first === undefined ? 0 : read(`${first.name}.A`).length / first.k
  const factors = model.spec.matrices.flatMap(({ name, d, k }) => {
    const [A, B, ofA, ofB] = [zeros(rank * k, dtype), zeros(rank * d, dtype), read(`${name}.A`), read(`${name}.B`)]
    A.set(ofA)
    for (let row = 0; row < d; row++) for (let r = 0; r < rank; r++) B[r * d + row] = ofB[row * rank + r] ?? NaN
    const [nameA, nameB] = inputNames(name)
    return [[nameA, A] as const, [nameB, B] as const]
  })
  return { rank, factors: new Map(factors) }
}

/** The factors of all adapters as inputs of the graph, and the method that adds their updates. */
export const stackedInputs = ({
  model,
  method,
  precision: { dtype },
}: Pick<Assembly, 'model' | 'method' | 'precision'>): { readonly tensors: ReadonlyMap<string, Expression>; readonly method: Method } => {
  const tensors = new Map(
    model.spec.matrices.flatMap(({ name, d, k }) => {
      const [A, B] = inputNames(name)
      return [[A, input(A, ['ranks', k], dtype)] as const, [B, input(B, ['ranks', d], dtype)] as const]
    }),
  )
  const g = input(gates, [product(['batch', 'sequence']), 'ranks'], dtype)
  const [isOwn, nothing] = [less(scalar(0, dtype), g), mul(g, 0)]
  const wrap: Method['train']['wrap'] = (_, __, parameter) => (host) => ({
    ...host,
    linear: (name, x) => {
      const wx = host.linear(name, x)
      const [A, B] = inputNames(name)
      if (!tensors.has(A)) return wx
      const components = matMul(x, parameter(A), { transposeB: true })
      // Chosen, not multiplied by 0: numbers too large of one adapter must not reach the rows of another.
      return add(wx, matMul(where(isOwn, components, nothing), parameter(B)))
    },
  })
  return { tensors, method: { ...method, train: { ...method.train, wrap } } }
}

/** Adapters whose factors are fed together. */
type Stack = { readonly adapters: readonly RowAdapter[]; readonly feeds: Feeds }

/** Feeds for rows of these adapters. It keeps the last stack of several, and stacks anew where an adapter is missing or less than half is in use. */
export const openStack = ({ spec: { matrices } }: Pick<Model, 'spec'>, dtype: FloatType) => {
  let last: Stack | null = null
  const choose = (wanted: readonly RowAdapter[]): Stack => {
    if (wanted.length === 1) return stackAdapters(wanted, matrices, dtype)
    const isKept = last !== null && wanted.every((one) => last?.adapters.includes(one)) && last.adapters.length <= 2 * wanted.length
    last = isKept && last !== null ? last : stackAdapters(wanted, matrices, dtype)
    return last
  }
  return (adapters: readonly (RowAdapter | undefined)[], tokens: number): Feeds => {
    const rows = adapters.map((one) => {
      if (one === undefined) throw new Error('openStack: expected an adapter for each row, got none')
      return one
    })
    const stack = choose([...new Set(rows)])
    return { ...stack.feeds, [gates]: gatesOf(stack.adapters, rows, tokens, dtype) }
  }
}

const stackAdapters = (adapters: readonly RowAdapter[], matrices: readonly Matrix[], dtype: FloatType): Stack => {
  const ranks = sumRanks(adapters)
  const feeds = matrices.flatMap(({ name, d, k }) => {
    const [A, B] = inputNames(name)
    return [
      [A, floatFeed(joinFactors(adapters, A, ranks * k, dtype), [ranks, k], dtype)] as const,
      [B, floatFeed(joinFactors(adapters, B, ranks * d, dtype), [ranks, d], dtype)] as const,
    ]
  })
  return { adapters, feeds: Object.fromEntries(feeds) }
}

const sumRanks = (adapters: readonly RowAdapter[]): number => adapters.reduce((sum, { rank }) => sum + rank, 0)

/** Those of a single adapter are not copied. */
const joinFactors = ([first, ...others]: readonly RowAdapter[], name: string, size: number, dtype: FloatType): Vector => {
  const own = first?.factors.get(name)
  if (own === undefined) throw new Error(`stackAdapters: expected factors of one base, got none of ${name}`)
  if (others.length === 0) return own
  const all = zeros(size, dtype)
  all.set(own)
  let at = own.length
  for (const { factors } of others) {
    const numbers = factors.get(name) ?? []
    all.set(numbers, at)
    at += numbers.length
  }
  return all
}

const gatesOf = (adapters: readonly RowAdapter[], rows: readonly RowAdapter[], tokens: number, dtype: FloatType): Feed => {
  const ranks = sumRanks(adapters)
  const open = zeros(rows.length * tokens * ranks, dtype)
  rows.forEach((own, row) => {
    const start = sumRanks(adapters.slice(0, adapters.indexOf(own)))
    for (let token = row * tokens; token < (row + 1) * tokens; token++)
      open.fill(1, token * ranks + start, token * ranks + start + own.rank)
  })
  return floatFeed(open, [rows.length * tokens, ranks], dtype)
}
