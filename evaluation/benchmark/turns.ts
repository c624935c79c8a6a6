/** Two sides of a benchmark in turn: steps on the same batches, and after those of an epoch its evaluation. */
import { median, quantile } from 'simple-statistics'
import { tokensOf, type BenchmarkCase } from './cases.js'
import type { Side, StepTaken } from './worker.js'

/** One side's steps of one comparison. Times are medians in milliseconds; tokens are real ones, padding not counted. */
export type SideResult = {
  readonly milliseconds: number
  readonly tokensPerSecond: number
  readonly peakBytes: number
  /** of matrix products, in 10⁹ a second; null where the side does not count them */
  readonly gigaflops: number | null
  /** from the start of the process to the end of its first step */
  readonly readySeconds: number
  /** of an epoch's steps and its evaluation, where that was asked for */
  readonly epochSeconds: number | null
}

/** The peer's time over ours in pairs of steps on the same batch: their median, and their quartiles. */
export type Ratio = readonly [lower: number, median: number, upper: number]

type Pair = { readonly ours: Side; readonly theirs: Side | null }
type Timed = StepTaken & { readonly tokens: number }
type Turn = { readonly ours: Timed; readonly theirs: Timed | null }

/** Steps in turn, and after those of an epoch its evaluation. It ends both sides. @param warmUp steps of each before the measured ones */
export const takeTurns = async (
  { batches, epoch }: BenchmarkCase,
  { ours, theirs }: Pair,
  repeats: number,
  warmUp: number,
): Promise<{ readonly ours: SideResult; readonly theirs: SideResult | null; readonly ratio: Ratio | null }> => {
  const peerBatches = epoch?.peerBatches ?? batches
  const [before, count] = epoch === undefined ? [warmUp, repeats] : [0, batches.length]
  const turns: Turn[] = []
  for (let i = 0; i < before + count; i++) {
    const own = await timedStep(ours, batches, i)
    const other = theirs === null ? null : await timedStep(theirs, peerBatches, i)
    if (i >= before) turns.push({ ours: own, theirs: other })
  }
  const evaluated = async (side: Side): Promise<number | null> => (epoch === undefined ? null : side.evaluate())
  const [ownEvaluation, otherEvaluation] = [await evaluated(ours), theirs === null ? null : await evaluated(theirs)]
  const ownSteps = turns.map((turn) => turn.ours)
  const otherSteps = turns.flatMap((turn) => turn.theirs ?? [])
  const own = resultOf(ownSteps, ownEvaluation, await ended(ours))
  const other = theirs === null ? null : resultOf(otherSteps, otherEvaluation, await ended(theirs))
  return { ours: own, theirs: other, ratio: other === null ? null : ratioOf(own, other, turns) }
}

const timedStep = async (side: Side, batches: BenchmarkCase['batches'], number: number): Promise<Timed> => {
  const batch = number % batches.length
  return { ...(await side.step(batch)), tokens: tokensOf(batches[batch] ?? []) }
}

type Ended = Pick<SideResult, 'peakBytes' | 'readySeconds'>
const ended = async ({ close, readyAfter }: Side): Promise<Ended> => ({ peakBytes: await close(), readySeconds: readyAfter })

const resultOf = (steps: ReadonlyArray<Timed>, evaluation: number | null, { peakBytes, readySeconds }: Ended): SideResult => {
  const sum = (of: (step: Timed) => number): number => steps.reduce((total, step) => total + of(step), 0)
  const duration = sum(({ milliseconds }) => milliseconds)
  return {
    milliseconds: median(steps.map(({ milliseconds }) => milliseconds)),
    tokensPerSecond: (1000 * sum(({ tokens }) => tokens)) / duration,
    peakBytes,
    gigaflops: steps.some(({ operations }) => operations === null) ? null : sum(({ operations }) => operations ?? NaN) / duration / 1e6,
    readySeconds,
    epochSeconds: evaluation === null ? null : (duration + evaluation) / 1000,
  }
}

/** Of an epoch as a whole, else of pairs of steps. */
const ratioOf = (own: SideResult, other: SideResult, turns: ReadonlyArray<Turn>): Ratio => {
  if (own.epochSeconds !== null && other.epochSeconds !== null) {
    const ratio = other.epochSeconds / own.epochSeconds
    return [ratio, ratio, ratio]
  }
  const ratios = turns.flatMap(({ ours, theirs }) => (theirs === null ? [] : [theirs.milliseconds / ours.milliseconds]))
  return [quantile(ratios, 0.25), median(ratios), quantile(ratios, 0.75)]
}
