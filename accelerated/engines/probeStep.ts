/** A training step whose result is known: logistic regression on two examples, from zeros. It has products, a softmax, a gradient and an update. */
import { gradient } from '../graph/gradient.js'
import { input, logSoftmax, matMul, mul, neg, reduceSum, sub } from '../graph/operators.js'
import { noWeights, type Engine } from './engine.js'

const shape = [2, 2]
const feed = (...data: ReadonlyArray<number>) => ({ data: Float32Array.from(data), shape })

/** W after the step: −xᵀ (½ − y), for the softmax of zeros is ½. */
const expected = [-1, 1, -1, 1]

/** The largest difference from the numbers that the step must have. A device without errors of its own has 1e-7. */
const tolerance = 1e-3

/** Null if the engine takes the step; otherwise what it computed, in words. @throws whatever the engine throws */
export const probeStep = async (engine: Engine): Promise<string | null> => {
  const [x, y, W] = [input('x', shape, 'float32'), input('y', shape, 'float32'), input('W', shape, 'float32')]
  const loss = neg(reduceSum(mul(logSoftmax(matMul(x, W)), y)))
  const [slope] = gradient(loss, [W])
  if (slope === undefined) throw new Error('probeStep: expected a gradient, got none')
  const session = await engine.open({ loss, next: sub(W, slope) }, noWeights)
  const results = await session.run({ x: feed(1, 2, 3, 4), y: feed(1, 0, 0, 1), W: feed(0, 0, 0, 0) })
  await session.release()
  const computed = Array.from([...(results['loss'] ?? []), ...(results['next'] ?? [])], Number)
  const right = [2 * Math.LN2, ...expected]
  if (right.every((value, i) => Math.abs((computed[i] ?? NaN) - value) < tolerance)) return null
  return `computed ${computed.map(rounded).join(', ')} instead of ${right.map(rounded).join(', ')}`
}

const rounded = (value: number): string => String(Number(value.toPrecision(4)))
