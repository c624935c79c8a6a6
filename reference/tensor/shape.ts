/** Shapes, and the one form that every complaint about them has. */

/** The length of each axis, outermost first. */
export type Shape = ReadonlyArray<number>

export const showShape = (shape: Shape): string => `[${shape.join(', ')}]`

/** Throws: the operation, what it expected and what it was given. */
export const mismatch = (op: string, expected: string, actual: string): never => {
  throw new Error(`${op}: expected ${expected}, actual ${actual}`)
}

/** How many numbers a tensor of this shape holds. */
export const sizeOf = (shape: Shape): number => shape.reduce((size, n) => size * n, 1)

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, axis) => n === b[axis])
