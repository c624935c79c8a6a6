/**
 * What the leader makes of a gradient from another machine. It must have the size of the step and finite numbers. The first one of a worker is
 * computed once more: the same bits mean the same model, data, code and arithmetic.
 */
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import type { PartGradient, SpreadStep } from '../../accelerated/training/partGradient.js'
import { numbersOf, type Exchange } from './exchange.js'
import { fromFrame, gradientHeader, type GradientHeader } from './frame.js'

export type Judgment = {
  readonly worker: string
  readonly seconds: number
  /** null: the part must be computed once more */
  readonly gradient: PartGradient | null
  readonly warning: string | null
  /** why this worker's gradients are no longer accepted; null: they are */
  readonly refused: string | null
}

export type GradientContext = {
  readonly part: number
  readonly step: Pick<SpreadStep, 'step' | 'parameters'>
  readonly dtype: FloatType
  readonly exchange: Exchange
  /** workers whose first gradient was checked */
  readonly trusted: ReadonlySet<string>
  /** Computes the part here. */
  readonly compute: (part: number) => Promise<PartGradient>
}

/** The relative difference of two gradients that differ in rounding only. */
const roundingBound = 1e-2

export const acceptGradient = async (frame: Buffer, context: GradientContext): Promise<Judgment> => {
  const { part, step, dtype, exchange, trusted, compute } = context
  const of = `step ${step.step + 1}, part ${part + 1}`
  let worker = 'an unknown worker'
  try {
    const { header, body } = fromFrame(frame, gradientHeader, of, 'a gradient')
    worker = header.worker
    const gradient = numbersOf(body, step.parameters.length, dtype, exchange)
    if (gradient === null) throw inputError(of, `a gradient of ${step.parameters.length} numbers from ${worker}`, `${body.length} bytes`)
    const received = { gradient, tokens: header.tokens, results: resultsOf(header) }
    const finite = allFinite(gradient) && Object.values(received.results).every(allFinite)
    const welcome = { worker, seconds: header.seconds, gradient: received, warning: null, refused: null }
    if (finite && trusted.has(worker)) return welcome
    const own = await compute(part)
    if (!finite && allFinite(own.gradient))
      return { ...refusal(worker, inputError(of, `a finite gradient from ${worker}`, 'one with NaN or infinity')), gradient: own }
    if (!finite) return { ...welcome, gradient: own } // the run diverged, and this process says so
    if (sameBits(gradient, own.gradient) && own.tokens === received.tokens) return welcome
    const difference = relativeDifference(gradient, own.gradient)
    if (own.tokens !== received.tokens || !(difference <= roundingBound)) {
      const got = own.tokens === received.tokens ? `one that differs by ${difference.toExponential(1)}` : `one of ${received.tokens} tokens`
      return { ...refusal(worker, inputError(of, `the gradient of ${own.tokens} tokens from ${worker}`, got)), gradient: own }
    }
    const warning =
      `${worker} computes other bits than this machine (relative difference ${difference.toExponential(1)}), as another processor does: ` +
      'the run is no longer bit for bit that of one machine'
    return { ...welcome, gradient: own, warning }
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    return refusal(worker, thrown)
  }
}

const refusal = (worker: string, { message }: InputError): Judgment => ({
  worker,
  seconds: 0,
  gradient: null,
  warning: `${message}; gradients of this worker are no longer accepted`,
  refused: message,
})

const resultsOf = ({ results }: GradientHeader): Readonly<Record<string, Float64Array>> =>
  Object.fromEntries(Object.entries(results).map(([name, numbers]) => [name, Float64Array.from(numbers, (x) => x ?? NaN)]))

const allFinite = (numbers: ArrayLike<number | bigint>): boolean => {
  for (let i = 0; i < numbers.length; i++) if (!Number.isFinite(Number(numbers[i]))) return false
  return true
}

const sameBits = (a: Vector, b: Vector): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))

/** ‖a − b‖ / ‖b‖ */
const relativeDifference = (a: Vector, b: Vector): number => {
  let [difference, norm] = [0, 0]
  for (let i = 0; i < a.length; i++) {
    difference += ((a[i] ?? 0) - (b[i] ?? 0)) ** 2
    norm += (b[i] ?? 0) ** 2
  }
  return Math.sqrt(difference / norm)
}
