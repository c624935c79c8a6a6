/** Dense float64 tensors: their memory layout and elementwise arithmetic. Every function checks its shapes. */
import ndarray from 'ndarray'
import { mismatch, sameShape, showShape as show, elementCount, type Shape } from './shape.js'

/** An array of numbers with a shape, row-major and contiguous. Treat `data` as read-only. */
export interface Tensor {
  readonly shape: Shape
  readonly data: Float64Array
}

/** Tensors by name, as in a checkpoint. */
export type Tensors = Readonly<Record<string, Tensor>>

type View = ndarray.NdArray<Float64Array>

/** x itself. @throws Error naming `op` unless x has exactly this shape */
export const checkShape = (op: string, x: Tensor, shape: Shape): Tensor =>
  sameShape(x.shape, shape) ? x : mismatch(op, `shape ${show(shape)}`, show(x.shape))

/** [rows, columns] of a matrix. @throws Error naming `op` for any other number of axes */
export const matrixShape = (op: string, x: Tensor): readonly [number, number] =>
  x.shape.length === 2 ? [x.shape[0]!, x.shape[1]!] : mismatch(op, 'a matrix', `shape ${show(x.shape)}`)

/** The tensor of this name. @throws Error listing the names if it is absent */
export const named = (tensors: Tensors, name: string): Tensor =>
  tensors[name] ?? mismatch('named', `a tensor called ${name}`, Object.keys(tensors).join(' ').slice(0, 300) || 'none')

// --- Construction ---

/** A tensor of this shape that holds a copy of these numbers, row by row. */
export const tensor = (shape: Shape, data: ArrayLike<number>): Tensor =>
  data.length === elementCount(shape)
    ? { shape: [...shape], data: Float64Array.from(data) }
    : mismatch('tensor', `${elementCount(shape)} numbers for shape ${show(shape)}`, `${data.length}`)

/** A tensor whose i-th number, counted row by row, is f(i). */
export const generate = (shape: Shape, f: (index: number) => number): Tensor => {
  const data = new Float64Array(elementCount(shape))
  for (let i = 0; i < data.length; i++) data[i] = f(i)
  return { shape: [...shape], data }
}

export const filled = (shape: Shape, value: number): Tensor => generate(shape, () => value)
export const zerosLike = (x: Tensor): Tensor => filled(x.shape, 0)
export const identity = (n: number): Tensor => generate([n, n], (i) => (i % (n + 1) === 0 ? 1 : 0))

// --- Numbers one by one ---

export const map =
  (f: (x: number) => number) =>
  (x: Tensor): Tensor =>
    generate(x.shape, (i) => f(x.data[i]!))

const elementwise =
  (op: string, f: (x: number, y: number) => number) =>
  (x: Tensor, y: Tensor): Tensor => {
    checkShape(op, y, x.shape)
    return generate(x.shape, (i) => f(x.data[i]!, y.data[i]!))
  }

export const zipWith = (f: (x: number, y: number) => number): ((x: Tensor, y: Tensor) => Tensor) => elementwise('zipWith', f)
export const add = elementwise('add', (x, y) => x + y)
export const subtract = elementwise('subtract', (x, y) => x - y)
export const multiply = elementwise('multiply', (x, y) => x * y)
export const scaleBy = (factor: number) => map((x) => factor * x)

// --- A vector against each row or column: x [n, m], row [m], column [n] → [n, m] ---

const alongRows =
  (op: string, f: (x: number, y: number) => number) =>
  (x: Tensor, row: Tensor): Tensor => {
    const [, m] = matrixShape(op, x)
    checkShape(op, row, [m])
    return generate(x.shape, (i) => f(x.data[i]!, row.data[i % m]!))
  }

const alongColumns =
  (op: string, f: (x: number, y: number) => number) =>
  (x: Tensor, column: Tensor): Tensor => {
    const [n, m] = matrixShape(op, x)
    checkShape(op, column, [n])
    return generate(x.shape, (i) => f(x.data[i]!, column.data[Math.floor(i / m)]!))
  }

export const addRow = alongRows('addRow', (x, y) => x + y)
export const multiplyRow = alongRows('multiplyRow', (x, y) => x * y)
export const subtractColumn = alongColumns('subtractColumn', (x, y) => x - y)
export const multiplyColumn = alongColumns('multiplyColumn', (x, y) => x * y)

// --- Reductions ---

export const sum = (x: Tensor): number => x.data.reduce((total, value) => total + value, 0)
export const squaredNorm = (x: Tensor): number => x.data.reduce((total, value) => total + value * value, 0)

/** The sum of each column: the gradient of a row that was added to every row. x: [n, m] → [m] */
export const columnSums = (x: Tensor): Tensor => {
  const [, m] = matrixShape('columnSums', x)
  const total = filled([m], 0)
  for (let i = 0; i < x.data.length; i++) total.data[i % m]! += x.data[i]!
  return total
}

const foldRows =
  (op: string, start: number, f: (total: number, x: number) => number) =>
  (x: Tensor): Tensor => {
    const [n, m] = matrixShape(op, x)
    return generate([n], (row) => x.data.subarray(row * m, (row + 1) * m).reduce(f, start))
  }

/** x: [n, m] → [n] */
export const rowSums = foldRows('rowSums', 0, (total, x) => total + x)
/** x: [n, m] → [n] */
export const rowMaxima = foldRows('rowMaxima', -Infinity, (most, x) => Math.max(most, x))
/** x: [n, m] → [n] */
export const rowMeans = (x: Tensor): Tensor => scaleBy(1 / matrixShape('rowMeans', x)[1])(rowSums(x))

// --- Parts, by way of strided views ---

const toView = (x: Tensor): View => ndarray(x.data, [...x.shape])
const contiguous = (view: View): Tensor => {
  const out = filled(view.shape, 0)
  const copy = (axis: number, from: number, to: number): void => {
    if (axis === view.shape.length) {
      out.data[to] = view.data[from]!
      return
    }
    const step = elementCount(view.shape.slice(axis + 1))
    for (let i = 0; i < view.shape[axis]!; i++) copy(axis + 1, from + i * view.stride[axis]!, to + i * step)
  }
  copy(0, view.offset, 0)
  return out
}

/** x: [n, m] → [m, n] */
export const transpose = (x: Tensor): Tensor => {
  matrixShape('transpose', x)
  return contiguous(toView(x).transpose(1, 0))
}

/** The part of x with from[axis] ≤ index < to[axis] on every axis. */
export const slice = (x: Tensor, from: readonly number[], to: readonly number[]): Tensor =>
  from.length === x.shape.length &&
  to.length === x.shape.length &&
  x.shape.every((n, axis) => 0 <= from[axis]! && from[axis]! <= to[axis]! && to[axis]! <= n)
    ? contiguous(
        toView(x)
          .lo(...from)
          .hi(...to.map((end, axis) => end - from[axis]!)),
      )
    : mismatch('slice', `bounds within ${show(x.shape)}`, `${show(from)} to ${show(to)}`)

export const reshape = (x: Tensor, shape: Shape): Tensor => tensor(shape, x.data)

/** x: [n, m] → [indices.length, m] */
export const selectRows = (x: Tensor, indices: readonly number[]): Tensor => {
  const [n, m] = matrixShape('selectRows', x)
  const bad = indices.find((index) => !(Number.isInteger(index) && index >= 0 && index < n))
  if (bad !== undefined) mismatch('selectRows', `indices from 0 to ${n - 1}`, `${bad}`)
  return generate([indices.length, m], (i) => x.data[indices[Math.floor(i / m)]! * m + (i % m)]!)
}

/** The vjp of selectRows. yBar: [indices.length, m] → [n, m]; rows selected more than once add up. */
export const scatterRows = (yBar: Tensor, indices: readonly number[], n: number): Tensor => {
  const [, m] = matrixShape('scatterRows', checkShape('scatterRows', yBar, [indices.length, yBar.shape[1] ?? 0]))
  const out = filled([n, m], 0)
  for (let i = 0; i < yBar.data.length; i++) out.data[indices[Math.floor(i / m)]! * m + (i % m)]! += yBar.data[i]!
  return out
}

/** x: [n, m] → [n, indices.length] */
export const selectColumns = (x: Tensor, indices: readonly number[]): Tensor => transpose(selectRows(transpose(x), indices))

/** Matrices [nᵢ, m] one below the other → [Σ nᵢ, m] */
export const stackRows = (parts: readonly Tensor[]): Tensor => {
  const m = matrixShape('stackRows', parts[0] ?? mismatch('stackRows', 'at least one matrix', 'none'))[1]
  parts.forEach((part) => checkShape('stackRows', part, [part.shape[0]!, m]))
  return tensor(
    [parts.reduce((n, part) => n + part.shape[0]!, 0), m],
    parts.flatMap((part) => [...part.data]),
  )
}

/** Matrices [n, mᵢ] side by side → [n, Σ mᵢ] */
export const stackColumns = (parts: readonly Tensor[]): Tensor => transpose(stackRows(parts.map(transpose)))
