/**
 * The rounding of a step in int8 or int4. A step rounds thousands of values, and some are so near a boundary that float32 and float64 round them differently.
 * What follows then differs by a whole level. So the accelerated path reports its levels, and the reference takes each level that is within the
 * bound of its own value. Both then compute the same function, and everything else is compared as in float32.
 */
import { showShape, topologicalOrder, type Expression, type Op } from '../../accelerated/graph/expression.js'
import { add, concat, constant, gather } from '../../accelerated/graph/operators.js'
import {
  blockSize,
  matchFourBit,
  matchHalf,
  quantizedMatMul,
  matchQuantized,
  type FourBitMatrix,
  type QuantizedMatrix,
} from '../../accelerated/graph/quantizedOperators.js'
import type { TensorSource } from '../../accelerated/models/host.js'
import type { Results } from '../../accelerated/engines/engine.js'
import type { StepGraph } from '../../accelerated/training/stepGraph.js'
import * as reference from '../../reference/index.js'
import type { FrozenLinear, Quantized, Tensor } from '../../reference/index.js'
import { relative, type Numbers, type Part, type Row } from './rows.js'

type Outputs = StepGraph['outputs']

/**
 * The rounded operand of each matrix, by the reference's names: MODULE.x in the forward pass, MODULE.yBar in the backward pass. A matrix in four bits
 * has one layout for both, and gives MODULE.
 */
const operandNames = (frozen: TensorSource, modules: readonly string[]): ReadonlyMap<Expression, string> =>
  new Map(
    modules.flatMap((module): readonly [Expression, string][] => {
      const matrix = matchQuantized(frozen(`${module}.weight`))
      const fourBits = matchFourBit(frozen(`${module}.weight`))
      if (fourBits !== null) return [[fourBits.levels, module]]
      return matrix === null
        ? []
        : [
            [matrix.levels, `${module}.x`],
            [matrix.transposed, `${module}.yBar`],
          ]
    }),
  )

const products: ReadonlySet<Op> = new Set<Op>(['QuantizedMatMul', 'FourBitMatMul'])

const outputName = (name: string): string => `rounded ${name}`

/** The operand of a matrix in the forward pass that runs without adapters, as DPO, IPO and KTO also do. */
const baseName = (name: string): string => `base ${name}`

/**
 * An additional output for each operand that a graph rounds: [tokens, k]. A product with the identity rounds it as the operator does, and does
 * nothing else. Tokens that the operator is not given (a head reads few of the last layer's) have zeros. Of a matrix with two operands, the one that
 * no trained number reaches is that of the pass without adapters.
 */
export const roundedOperands = (outputs: Outputs, frozen: TensorSource, modules: readonly string[]): Outputs => {
  const names = operandNames(frozen, modules)
  const operands: { readonly name: string; readonly x: Expression; readonly isTrained: boolean }[] = []
  for (const { op, inputs, attributes } of topologicalOrder(Object.values(outputs))) {
    const [x, matrix] = inputs
    const module = matrix === undefined || !products.has(op) ? undefined : names.get(matrix)
    const name = module === undefined || op === 'QuantizedMatMul' ? module : `${module}.${attributes.transposeB === true ? 'x' : 'yBar'}`
    if (x !== undefined && name !== undefined) operands.push({ name, x, isTrained: topologicalOrder([x]).some(isParameter) })
  }
  const rounded = new Map<string, Expression>()
  for (const { name, x, isTrained } of operands) {
    const isBase = !isTrained && operands.some((other) => other.name === name && other.isTrained)
    const output = outputName(isBase ? baseName(name) : name)
    const before = rounded.get(output)
    if (before !== undefined && x.shape[0] === 'tokens') continue // of both passes, below the lowest adapter
    const rows = inPlace(quantizedMatMul(x, makeIdentity(x)), x)
    rounded.set(output, before === undefined ? rows : add(before, rows)) // slices of the tokens
  }
  return Object.fromEntries(rounded)
}

const isParameter = ({ op, attributes }: Expression): boolean => op === 'Input' && attributes.name?.startsWith('parameters') === true

const makeIdentity = ({ shape: [, k] }: Expression) => {
  const [side, size] = [Number(k), Number(k) ** 2]
  const identity = constant(
    Int8Array.from({ length: size }, (_, i) => (i % (side + 1) === 0 ? 1 : 0)),
    [side, side],
    'int8',
  )
  return { levels: identity, transposed: identity }
}

/** Rows where their tokens are. rows: [tokens, k], or [selected, k] by the one selection that x is made of → [tokens, k] */
const inPlace = (rows: Expression, x: Expression): Expression => {
  const [count, k] = rows.shape
  if (count === 'tokens') return rows
  const selections = topologicalOrder([x]).filter(({ op, shape }) => op === 'SelectRows' && shape.length === 2 && shape[0] === count)
  const [inverse, ...others] = new Map(selections.map(({ inputs: [, , tokens] }) => [tokens?.attributes.name, tokens])).values()
  if (inverse === undefined || others.length > 0 || typeof k !== 'number')
    throw new Error(`levels: expected rows of tokens, or one selection of them, got ${showShape(rows.shape)}`)
  return gather(concat([rows, constant(new Array<number>(k).fill(0), [1, k], rows.dtype)], 0), inverse)
}

/** How the levels of one matrix fit: see Row. */
export type RoundedLevels = Pick<Row, 'size' | 'index' | 'reference' | 'accelerated' | 'difference'> & {
  readonly name: string
  readonly across: number
}

/** The reference's frozen layers at the levels of one step, without adapters too, and, once it was taken, how these fit. */
export type Followed = {
  readonly frozenLinear?: FrozenLinear
  readonly base?: { readonly frozenLinear: FrozenLinear }
  readonly levels: () => readonly RoundedLevels[]
}

/** The reference's side of a step that had these results, part after part of its tokens: exact, if no matrix is in int8 or float16. */
export const follow = (frozen: TensorSource, modules: readonly string[], results: readonly Results[], bound: number): Followed => {
  const matrices = new Map<string, Numbers>(
    modules.flatMap((module) => {
      const [matrix, fourBits] = [matchQuantized(frozen(`${module}.weight`)), matchFourBit(frozen(`${module}.weight`))]
      if (fourBits !== null) return [[`${module}.weight`, fourBitValues(fourBits)] as const]
      return matrix === null ? [] : [[`${module}.weight`, dequantizeLevels(matrix)] as const]
    }),
  )
  const rounds = modules.some((module) => matchHalf(frozen(`${module}.weight`)) !== null)
  if (matrices.size === 0)
    return { ...(rounds ? { frozenLinear: reference.halfLinear, base: { frozenLinear: reference.halfLinear } } : {}), levels: () => [] }
  const inFourBits = new Set(modules.flatMap((module) => (matchFourBit(frozen(`${module}.weight`)) === null ? [] : [`${module}.weight`])))
  const fits = new Map<string, Fit>()
  const fitted = (name: string, x: Tensor): Fit => {
    const reported = (): Numbers => matrices.get(name) ?? results.flatMap((part) => Array.from(part[outputName(name)] ?? [], Number))
    const fit = fits.get(name) ?? (inFourBits.has(name) ? atFourBits : atLevels)(name, x, reported(), bound)
    fits.set(name, fit)
    return fit
  }
  /** Below the lowest adapter, both passes have one operand. */
  const inBase = (name: string): string => (results.some((part) => outputName(baseName(name)) in part) ? baseName(name) : name)
  return {
    frozenLinear: reference.int8Linear((name) => (x) => fitted(name, x).rounded),
    base: { frozenLinear: reference.int8Linear((name) => (x) => fitted(inBase(name), x).rounded) },
    levels: () => [...fits.values()].flatMap(({ levels }) => levels ?? []),
  }
}

/** A row for each matrix that was rounded. */
export const levelRows = (part: Part, bound: number, model: number, levels: readonly RoundedLevels[]): readonly Row[] =>
  levels.map(({ name, ...found }) => ({ part, model, quantity: `levels of ${name}`, ...found, bound, holds: found.difference <= bound }))

const dequantizeLevels = ({ levels, scales }: QuantizedMatrix): Numbers => {
  const [factors, [, width]] = [scales?.attributes.data ?? [], levels.shape]
  return Array.from(levels.attributes.data ?? [], (level, i) => level * (factors[Math.floor(i / Number(width))] ?? NaN))
}

const fourBitValues = ({ levels, blockScales, scales, columns }: FourBitMatrix): Numbers => {
  const [rows = 0, blocks = 0] = levels.shape.map(Number)
  const readNumber = (of: Expression | undefined, i: number): number => of?.attributes.data?.[i] ?? NaN
  return Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    const block = row * blocks + Math.floor(column / blockSize)
    return (
      (readNumber(levels, block * blockSize + (column % blockSize)) - 8) * (readNumber(blockScales, block) - 16) * readNumber(scales, row)
    )
  })
}

export type Fit = {
  readonly rounded: Quantized
  /** null where nothing was rounded: the gradient below the lowest adapter, which no one needs */
  readonly levels: RoundedLevels | null
}

/**
 * x at the reported levels. A reported value must be within half a level of x, plus the bound's share of the largest |x|. Otherwise x keeps its own
 * level, and the comparison fails. x, reported: [n, m]. A reported row is zeros if it was not rounded.
 */
export const atLevels = (name: string, x: Tensor, reported: Numbers, bound: number): Fit => {
  const quantized = reference.quantizeRows(x)
  const [, m = 1] = x.shape
  const [levels, largest] = [Float64Array.from(quantized.levels.data), Math.max(...x.data.map(Math.abs))]
  let [size, index, farthest, across] = [0, 0, -Infinity, 0]
  for (const [row, scale] of quantized.scales.data.entries()) {
    const places = Array.from({ length: m }, (_, column) => row * m + column)
    const most = Math.max(...places.map((i) => Math.abs(reported[i] ?? 0)))
    if (most === 0) continue
    for (const i of places) {
      const [value, exact] = [reported[i] ?? NaN, x.data[i] ?? NaN]
      const level = Math.round((value / most) * reference.largestLevel)
      const beyond = relative(Math.abs(value - exact) - scale / 2, largest)
      if (beyond > farthest) [farthest, index] = [beyond, i]
      if (level !== levels[i] && relative(scale, largest) > bound) across++ // in smaller rows a level is less than the bound
      if (beyond <= bound) levels[i] = level
    }
    size += m
  }
  const difference = reported.length === x.data.length ? Math.max(0, farthest) : Infinity
  return {
    rounded: { levels: reference.tensor(x.shape, levels), scales: quantized.scales },
    levels:
      size === 0 ? null : { name, size, index, reference: x.data[index] ?? NaN, accelerated: reported[index] ?? NaN, difference, across },
  }
}

/**
 * W at the reported levels in four bits. A reported block must be kq of one k. Its error must be the least that the reference finds, within the bound's
 * share of the largest |W|. Otherwise W keeps its own levels, and the comparison fails. W, reported: [n, m]
 */
export const atFourBits = (name: string, W: Tensor, reported: Numbers, bound: number): Fit => {
  const own = reference.quantizeFourBits(W)
  const [, m = 1] = W.shape
  const [levels, largest] = [Float64Array.from(own.levels.data), Math.max(...W.data.map(Math.abs))]
  let [index, farthest, across] = [0, 0, 0]
  for (const [row, scale] of own.scales.data.entries())
    for (let start = row * m; start < (row + 1) * m; start += blockSize) {
      const places = Array.from({ length: Math.min(blockSize, (row + 1) * m - start) }, (_, i) => start + i)
      const [block, least] = [places.map((i) => W.data[i] ?? NaN), places.map((i) => own.levels.data[i] ?? NaN)]
      const theirs = places.map((i) => (scale === 0 ? 0 : Math.round((reported[i] ?? NaN) / scale)))
      const isExact = places.every(
        (i, place) => relative(Math.abs((reported[i] ?? NaN) - scale * (theirs[place] ?? NaN)), largest) <= bound,
      )
      const excess = Math.sqrt(reference.squaredError(block, theirs, scale)) - Math.sqrt(reference.squaredError(block, least, scale))
      const beyond = isExact && reference.isFourBits(theirs) ? relative(Math.max(0, excess), largest) : Infinity
      if (beyond > farthest) [farthest, index] = [beyond, start]
      if (beyond > bound) continue
      across += theirs.filter((level, i) => level !== least[i]).length
      levels.set(theirs, start)
    }
  return {
    rounded: { levels: reference.tensor(W.shape, levels), scales: own.scales },
    levels: {
      name,
      size: W.data.length,
      index,
      reference: W.data[index] ?? NaN,
      accelerated: reported[index] ?? NaN,
      difference: reported.length === W.data.length ? farthest : Infinity,
      across,
    },
  }
}

/** Several steps as one: of each matrix the levels that fit worst, and how many there were in all. */
export const overall = (steps: readonly (readonly RoundedLevels[])[]): readonly RoundedLevels[] => {
  const merged = new Map<string, RoundedLevels>()
  for (const one of steps.flat()) {
    const before = merged.get(one.name) ?? { ...one, size: 0, across: 0, difference: -1 }
    const worst = one.difference > before.difference ? one : before
    merged.set(one.name, { ...worst, size: before.size + one.size, across: before.across + one.across })
  }
  return [...merged.values()]
}
