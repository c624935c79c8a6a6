/**
 * One training step of SaLoRA on one matrix, with nothing hidden: a graph, its gradient, feeds and a session.
 * After `npm run build`: node dist/examples/one-step.js
 */
import { findDevice, gradient, operators } from 'salora/accelerated'

const { add, clip, constant, div, input, log, matMul, mul, reduceMean, reduceSum, sigmoid, sqrt, square, sub } = operators
const [d, k, r, rows] = [6, 8, 4, 32] // W: [d, k], an adapter of rank r, a batch of some rows
const [scale, beta, target, rate] = [2, 0.01, 0.5, 0.02] // α / r, β, the density b, η

// 1. Inputs: the parameters, W, a batch x, the matrix that it should be multiplied by, the gates' noise, λ, and Adam's corrections.
const shapes: Readonly<Record<string, readonly number[]>> = { A: [r, k], B: [d, r], logTheta: [r] }
const tensor = (name: string, ...shape: readonly number[]) => input(name, shape, 'float32')
const [A, B, logTheta] = [tensor('A', r, k), tensor('B', d, r), tensor('logTheta', r)]
const [W, wanted, x, u, lambda] = [tensor('W', d, k), tensor('wanted', d, k), tensor('x', rows, k), tensor('u', r), tensor('lambda')]

// 2. Forward. Equation (7) makes gates from noise. Equation (5): h = W x + scale · B (g ⊙ A x).
const gates = clip(sub(mul(sigmoid(add(sub(log(u), log(sub(1, u))), logTheta)), 1.2), 0.1), 0, 1)
const times = (rowsOf: typeof x, matrix: typeof x) => matMul(rowsOf, matrix, { transposeB: true })
const h = add(times(x, W), mul(times(mul(times(x, A), gates), B), scale))
const taskLoss = reduceMean(square(sub(h, times(x, wanted))))

// 3. The objective, equation (12): the loss, equation (9)'s orthogonality and equation (11)'s density.
const identity = constant(
  Array.from({ length: r * r }, (_, i) => Number(i % (r + 1) === 0)),
  [r, r],
  'float32',
)
const gramError = (gram: typeof x) => reduceSum(square(sub(gram, identity)))
const orthogonality = add(gramError(times(A, A)), gramError(matMul(B, B, { transposeA: true })))
const density = reduceMean(sigmoid(add(logTheta, Math.log(11))))
const violation = square(sub(density, target))
const loss = add(add(taskLoss, mul(orthogonality, beta)), mul(lambda, violation))

// 4. Backward and update, in the same graph: Adam for A, B and log θ, and an ascent for λ.
const updates = gradient(loss, [A, B, logTheta]).map((slope, i) => {
  const [name = '', shape = []] = Object.entries(shapes)[i] ?? []
  const first = add(mul(tensor(`${name}.first`, ...shape), 0.9), mul(slope, 0.1))
  const second = add(mul(tensor(`${name}.second`, ...shape), 0.99), mul(square(slope), 0.01))
  const step = div(div(first, tensor('correction1')), add(sqrt(div(second, tensor('correction2'))), 1e-8))
  return { [`${name}.next`]: sub(tensor(name, ...shape), mul(step, rate)), [`${name}.first.next`]: first, [`${name}.second.next`]: second }
})
const outputs = Object.assign({ 'lambda.next': add(lambda, violation), taskLoss, density }, ...updates)

// 5. A session runs the graph. The outputs of a step are the state that the next step gets.
const session = await findDevice('cpu')
  .engine({ threads: 1 })
  .open(outputs, async () => '')
type Feed = { readonly data: Float32Array; readonly shape: readonly number[] }
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)
let seed = 1
const random = (): number => {
  seed = (seed * 16807) % 2147483647
  return seed / 2147483647
}
const filled = (shape: readonly number[], next: () => number): Feed => ({
  data: Float32Array.from({ length: sizeOf(shape) }, next),
  shape,
})
const zeros = (...shape: readonly number[]): Feed => filled(shape, () => 0)
const uniform = (...shape: readonly number[]): Feed => filled(shape, () => 2 * random() - 1)

let state: Record<string, Feed> = { A: uniform(r, k), B: zeros(d, r), logTheta: zeros(r), lambda: zeros() }
for (const [name, shape] of Object.entries(shapes))
  state = { ...state, [`${name}.first`]: zeros(...shape), [`${name}.second`]: zeros(...shape) }
const data = { W: uniform(d, k), wanted: uniform(d, k), x: uniform(rows, k) }
for (let step = 1; step <= 500; step++) {
  const corrections = { correction1: filled([], () => 1 - 0.9 ** step), correction2: filled([], () => 1 - 0.99 ** step) }
  const results = await session.run({ ...state, ...data, ...corrections, u: filled([r], random) })
  state = Object.fromEntries(
    Object.entries(state).map(([name, { shape }]) => [name, { data: results[`${name}.next`] as Float32Array, shape }]),
  )
  if (step % 100 === 0) console.log(`step ${step}: task loss ${results['taskLoss']}, density ${results['density']}`)
}
await session.release()
