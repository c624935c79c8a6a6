/**
 * What the leader makes of a part from another machine. It must have the size of the step and finite numbers. The first one of a worker is
 * computed once more: the same bits mean the same model, data, code and arithmetic.
 */
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import type { SpreadEvaluation } from '../../accelerated/training/answerParts.js'
import type { PartGradient, SpreadStep } from '../../accelerated/training/partGradient.js'
import { numbersOf, type Exchange } from './exchange.js'
import { fromFrame, gradientHeader, type GradientHeader, type Work } from './frame.js'

export type Judgment = {
  readonly worker: string
  readonly seconds: number
  /** null: the part must be computed once more */
  readonly gradient: PartGradient | null
  readonly warning: string | null
  /** why this worker's parts are no longer accepted; null: they are */
  readonly refused: string | null
}

export type PartContext = {
  readonly part: number
  readonly work: Work
  readonly step: Pick<SpreadStep, 'step' | 'parameters'> & Partial<Pick<SpreadEvaluation, 'fits'>>
  readonly dtype: FloatType
  readonly exchange: Exchange
  /** workers whose first part of this work was checked */
  readonly trusted: ReadonlySet<string>
  /** Computes the part here. */
  readonly compute: (part: number) => Promise<PartGradient>
}

const names: Readonly<Record<Work, string>> = { gradients: 'gradient', answers: 'set of answers' }

/** The relative difference of two parts that differ in rounding only. */
const roundingBound = 1e-2

export const acceptPart = async (frame: Buffer, context: PartContext): Promise<Judgment> => {
  const { part, work, step, trusted, compute } = context
  const [of, what] = [`step ${step.step + (work === 'answers' ? 0 : 1)}, part ${part + 1}`, names[work]]
  let worker = 'an unknown worker'
  try {
    const { header, body } = fromFrame(frame, gradientHeader, of, `a ${what}`)
    worker = header.worker
    const received = { gradient: numbersIn(header, body, context, of), tokens: header.tokens, results: resultsOf(header) }
    const isWhole = (one: PartGradient): boolean =>
      allFinite(one.gradient) && Object.values(one.results).every(allFinite) && (step.fits?.(part, one) ?? true)
    const welcome = { worker, seconds: header.seconds, gradient: received, warning: null, refused: null }
    const finite = isWhole(received)
    if (finite && trusted.has(worker)) return welcome
    const own = await compute(part)
    if (!finite && isWhole(own))
      return { ...refusal(worker, inputError(of, `a finite ${what} from ${worker}`, 'one with NaN or infinity')), gradient: own }
    if (!finite) return { ...welcome, gradient: own } // the run diverged, and this process says so
    if (sameBits(received.gradient, own.gradient) && own.tokens === received.tokens) return welcome
    const difference = relativeDifference(received.gradient, own.gradient)
    if (own.tokens !== received.tokens || !(difference <= roundingBound)) {
      const got = own.tokens === received.tokens ? `one that differs by ${difference.toExponential(1)}` : `one of ${received.tokens} tokens`
      return { ...refusal(worker, inputError(of, `the ${what} of ${own.tokens} tokens from ${worker}`, got)), gradient: own }
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

/** A gradient has the size of the step, and answers the one that they claim. @throws InputError for another number of bytes */
const numbersIn = (
  { worker, results }: GradientHeader,
  body: Buffer,
  { work, step: { parameters }, dtype, exchange }: PartContext,
  of: string,
): Vector => {
  const claimed = Object.values(results).reduce((sum, [length]) => sum + (length ?? NaN), 0)
  const size = work === 'answers' ? claimed : parameters.length
  const numbers = numbersOf(body, size, dtype, work === 'answers' ? 'float32' : exchange)
  if (numbers === null) throw inputError(of, `a ${names[work]} of ${size} numbers from ${worker}`, `${body.length} bytes`)
  return numbers
}

const refusal = (worker: string, { message }: InputError): Judgment => ({
  worker,
  seconds: 0,
  gradient: null,
  warning: `${message}; parts of this worker are no longer accepted`,
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

/** ‖a − b‖ / ‖b‖; infinite for another size */
const relativeDifference = (a: Vector, b: Vector): number => {
  if (a.length !== b.length) return Infinity
  let [difference, norm] = [0, 0]
  for (let i = 0; i < a.length; i++) {
    difference += ((a[i] ?? 0) - (b[i] ?? 0)) ** 2
    norm += (b[i] ?? 0) ** 2
  }
  return Math.sqrt(difference / norm)
}
