/** Shapes, and the form of every error about them. */

/** The length of each axis, outermost first. */
export type Shape = readonly number[]

export const showShape = (shape: Shape): string => `[${shape.join(', ')}]`

/** @throws Error naming the operation, what it expected and what it got */
export const mismatch = (op: string, expected: string, got: string): never => {
  throw new Error(`${op}: expected ${expected}, got ${got}`)
}

/** The number of elements of a tensor of this shape. */
export const elementCount = (shape: Shape): number => shape.reduce((size, n) => size * n, 1)

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, axis) => n === b[axis])
