/**
 * What the leader makes of a frame from a worker. It must be signed, of this step, of the step's size, and finite. The first part of a worker is
 * computed once more, and then a share of its parts: the same bits mean the same model, data, code and arithmetic.
 */
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import { TrainingError } from '../../accelerated/errors/expectedErrors.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import type { MicroBatchGradient, SpreadStep } from '../../accelerated/training/microBatchGradient.js'
import { decodeVector, type Exchange } from './exchange.js'
import { fromFrame, partHeader, type PartHeader, type Work } from './frame.js'

export type Judgment =
  /** late, altered, or of a worker that is refused: the part is still missing */
  | { readonly kind: 'ignored'; readonly warning: string | null }
  | {
      readonly kind: 'judged'
      readonly by: Pick<PartHeader, 'key' | 'worker' | 'part' | 'seconds'>
      /** null: the part must be computed once more */
      readonly gradient: MicroBatchGradient | null
      readonly warning: string | null
      /** why this worker's parts are no longer accepted; null: they are */
      readonly refused: string | null
    }

export type PartContext = {
  readonly run: string
  readonly token: string
  readonly work: Work
  readonly step: Pick<SpreadStep, 'step' | 'parts' | 'parameters' | 'fits'>
  readonly dtype: FloatType
  readonly exchange: Exchange
  /** the parts that are not missing */
  readonly done: ReadonlySet<number>
  /** by public key: the step in which the worker's first part was checked */
  readonly trusted: ReadonlyMap<string, number>
  /** public keys whose parts are not accepted */
  readonly refused: ReadonlySet<string>
  /** Draws whether a part of a trusted worker is checked. */
  readonly isChecked: () => boolean
  /** Computes the part here. */
  readonly compute: (part: number) => Promise<MicroBatchGradient>
}

const names: Readonly<Record<Work, string>> = { gradients: 'gradient', answers: 'set of answers' }

/** The relative difference of two parts that differ in rounding only. */
const roundingBound = 1e-2

const ignored = (warning: string | null): Judgment => ({ kind: 'ignored', warning })

/** @throws TrainingError if a worker whose parts were taken returns one that this process does not compute */
export const acceptMicroBatch = async (frame: Buffer, context: PartContext): Promise<Judgment> => {
  const { run, token, work, step, done, refused } = context
  const where = `step ${step.step + (work === 'answers' ? 0 : 1)}`
  try {
    const form = { schema: partHeader, findKey: ({ key }: PartHeader) => key, where, what: `a ${names[work]}` }
    const { header, body } = fromFrame(frame, form)
    if (header.run !== run) throw inputError(where, `a ${names[work]} of this run`, `one of run ${header.run} from ${header.worker}`)
    if (header.token !== token || refused.has(header.key) || done.has(header.part)) return ignored(null)
    if (header.part >= step.parts) throw inputError(where, `a part of ${step.parts}`, `part ${header.part + 1} from ${header.worker}`)
    return await judge(header, body, context, `${where}, part ${header.part + 1}`)
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    return ignored(`${thrown.message}; it is ignored`)
  }
}

const judge = async (header: PartHeader, body: Buffer, context: PartContext, where: string): Promise<Judgment> => {
  const { key, worker, part, seconds, tokens } = header
  const { work, step, trusted, isChecked, compute } = context
  const welcome = { kind: 'judged', by: { key, worker, part, seconds }, warning: null, refused: null } as const
  const refuse = (expected: string, got: string, own: MicroBatchGradient | null): Judgment => {
    const { message } = inputError(where, expected, got)
    return { ...welcome, gradient: own, warning: `${message}; parts of this worker are no longer accepted`, refused: message }
  }
  const what = names[work]
  const [gradient, size] = numbersIn(header, body, context)
  if (gradient === null) return refuse(`a ${what} of ${size} numbers from ${worker}`, `${body.length} bytes`, null)
  const received: MicroBatchGradient = { gradient, tokens, results: decodeResults(header) }
  const isFinitePart = (one: MicroBatchGradient): boolean =>
    allFinite(one.gradient) && Object.values(one.results).every(allFinite) && (step.fits?.(part, one) ?? true)
  const finite = isFinitePart(received)
  if (finite && trusted.has(key) && !isChecked()) return { ...welcome, gradient: received }
  const own = await compute(part)
  if (!finite) {
    if (isFinitePart(own)) return refuse(`a finite ${what} from ${worker}`, 'one with NaN or infinity', own)
    return { ...welcome, gradient: own } // the run diverged, and this process says so
  }
  if (own.tokens === tokens && sameBits(gradient, own.gradient) && sameResults(received, own)) return { ...welcome, gradient: received }
  const difference = relativeDifference(gradient, own.gradient)
  if (own.tokens === tokens && difference <= roundingBound) {
    const warning =
      `${worker} computes other bits than this machine (relative difference ${difference.toExponential(1)}), as another processor does: ` +
      'the run is no longer bit for bit that of one machine'
    return { ...welcome, gradient: own, warning }
  }
  const got = own.tokens === tokens ? `one that differs by ${difference.toExponential(1)}` : `one of ${tokens} tokens`
  const since = trusted.get(key)
  if (since === undefined) return refuse(`the ${what} of ${own.tokens} tokens from ${worker}`, got, own)
  throw new TrainingError(
    `${where}: expected the ${what} that this process computes from ${worker}, got ${got}. ` +
      `Its parts were taken from step ${since} on: resume from an earlier checkpoint, without this worker`,
  )
}

/** A gradient has the size of the step, and answers the one that they claim. Null for another number of bytes. */
const numbersIn = (
  { results }: PartHeader,
  body: Buffer,
  { work, step: { parameters }, dtype, exchange }: PartContext,
): readonly [Vector | null, number] => {
  const claimed = Object.values(results).reduce((sum, [length]) => sum + (length ?? NaN), 0)
  const size = work === 'answers' ? claimed : parameters.length
  return [decodeVector(body, size, dtype, work === 'answers' ? 'float32' : exchange), size]
}

const decodeResults = ({ results }: PartHeader): Readonly<Record<string, Float64Array>> =>
  Object.fromEntries(Object.entries(results).map(([name, numbers]) => [name, Float64Array.from(numbers, (x) => x ?? NaN)]))

const allFinite = (numbers: ArrayLike<number | bigint>): boolean => {
  for (let i = 0; i < numbers.length; i++) if (!Number.isFinite(Number(numbers[i]))) return false
  return true
}

const sameBits = (a: Vector, b: Vector): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))

const sameResults = (a: MicroBatchGradient, b: MicroBatchGradient): boolean =>
  Object.entries(b.results).every(([name, numbers]) =>
    Array.from(numbers, Number).every((x, i) => Object.is(Number(a.results[name]?.[i]), x)),
  )

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
