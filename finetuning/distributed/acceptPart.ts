/**
 * What the leader makes of a part from another machine. It must have the size of the step and finite numbers. The first one of a worker is
 * computed once more, or the first step of a round's part. The same bits mean the same model, data, code and arithmetic.
 */
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import type { PartGradient, SpreadStep } from '../../accelerated/training/partGradient.js'
import { byteLengthOf, momentBytes, momentsOf, numbersOf, type Exchange } from './exchange.js'
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
  readonly step: Pick<SpreadStep, 'step' | 'parameters' | 'fits'>
  readonly dtype: FloatType
  readonly exchange: Exchange
  /** workers whose first part of this work was checked */
  readonly trusted: ReadonlySet<string>
  /** Computes the part here. */
  readonly compute: (part: number) => Promise<PartGradient>
  /** Computes the first step of a part of a round. Absent: a part is one step. */
  readonly begin?: (part: number) => Promise<PartGradient>
}

const names: Readonly<Record<Work, string>> = { gradients: 'gradient', rounds: 'part of a round', answers: 'set of answers' }

/** The relative difference of two parts that differ in rounding only. */
const roundingBound = 1e-2

export const acceptPart = async (frame: Buffer, context: PartContext): Promise<Judgment> => {
  const { part, work, step, trusted, compute, begin } = context
  const [of, what] = [`step ${step.step + (work === 'answers' ? 0 : 1)}, part ${part + 1}`, names[work]]
  let worker = 'an unknown worker'
  try {
    const { header, body } = fromFrame(frame, gradientHeader, of, `a ${what}`)
    worker = header.worker
    const received: PartGradient = { ...numbersIn(header, body, context, of), tokens: header.tokens, results: resultsOf(header) }
    const isWhole = (one: PartGradient): boolean =>
      allFinite(one.gradient) &&
      Object.values(one.moments ?? {}).every(allFinite) &&
      Object.values(one.results).every(allFinite) &&
      (step.fits?.(part, one) ?? true)
    const welcome = { worker, seconds: header.seconds, gradient: received, warning: null, refused: null }
    const finite = isWhole(received)
    if (finite && trusted.has(worker)) return welcome
    const first = finite ? await begin?.(part) : undefined
    if (first !== undefined && beginsLike(received, first)) return welcome
    const own = await compute(part)
    if (!finite && isWhole(own))
      return { ...refusal(worker, inputError(of, `a finite ${what} from ${worker}`, 'one with NaN or infinity')), gradient: own }
    if (!finite) return { ...welcome, gradient: own } // the run diverged, and this process says so
    if (haveSameBits(received, own) && own.tokens === received.tokens) return welcome
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

/** A gradient has the size of the step, and answers the one that they claim. After a round come moments. @throws InputError for another number of bytes */
const numbersIn = (
  { worker, results }: GradientHeader,
  body: Buffer,
  { work, step: { parameters }, dtype, exchange }: PartContext,
  of: string,
): Pick<PartGradient, 'gradient' | 'moments'> => {
  const claimed = Object.values(results).reduce((sum, [length]) => sum + (length ?? NaN), 0)
  const size = work === 'answers' ? claimed : parameters.length
  const end = work === 'rounds' ? byteLengthOf(size, dtype, exchange) : body.length
  const gradient = numbersOf(body.subarray(0, end), size, dtype, work === 'answers' ? 'float32' : exchange)
  const moments = work === 'rounds' ? momentsOf(body.subarray(end), size, dtype) : undefined
  if (gradient === null || moments === null)
    throw inputError(of, `a ${names[work]} of ${size} numbers from ${worker}`, `${body.length} bytes`)
  return moments === undefined ? { gradient } : { gradient, moments }
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

/** Whether a part of a round has the reports of this first step. Its loss and norm follow from model, data, code and arithmetic. */
const beginsLike = (part: PartGradient, first: PartGradient): boolean =>
  Object.entries(first.results).every(([name, numbers]) => Number(part.results[name]?.[0]) === Number(numbers[0]))

const haveSameBits = (a: PartGradient, b: PartGradient): boolean =>
  sameBits(a.gradient, b.gradient) &&
  (a.moments === undefined || b.moments === undefined || Buffer.from(momentBytes(a.moments)).equals(momentBytes(b.moments)))

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
