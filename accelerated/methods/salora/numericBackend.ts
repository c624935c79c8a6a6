/** Arithmetic on numbers or on expressions: each equation of the method is written once, for graphs and for decisions outside them. */
import type { Expression } from '../../graph/expression.js'
import { add, clip, constant, mul, reduceSum, sigmoid, sub } from '../../graph/operators.js'

/** Operations on vectors of one length. A number is broadcast. */
export type NumericBackend<T> = {
  readonly add: (a: T, b: number) => T
  readonly sub: (a: T, b: number) => T
  readonly mul: (a: T, b: T | number) => T
  readonly sigmoid: (x: T) => T
  readonly clip: (x: T, low: number, high: number) => T
  readonly sum: (x: T) => T
  /** a vector like x with these numbers */
  readonly constant: (values: readonly number[], like: T) => T
}

export const expressionBackend: NumericBackend<Expression> = {
  add,
  sub,
  mul,
  sigmoid,
  clip,
  sum: (x) => reduceSum(x),
  constant: (values, { dtype }) => constant(values, [values.length], dtype),
}

type Numbers = readonly number[]

export const numberBackend: NumericBackend<Numbers> = {
  add: (a, b) => a.map((x) => x + b),
  sub: (a, b) => a.map((x) => x - b),
  mul: (a, b) => a.map((x, i) => x * (typeof b === 'number' ? b : (b[i] ?? NaN))),
  sigmoid: (a) => a.map((x) => 1 / (1 + Math.exp(-x))),
  clip: (a, low, high) => a.map((x) => Math.min(high, Math.max(low, x))),
  sum: (a) => [a.reduce((total, x) => total + x, 0)],
  constant: (values) => values,
}
