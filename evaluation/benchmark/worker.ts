/**
 * One side of a benchmark: a process that takes a step on request. Its standard input has the number of a batch per line, or `evaluate`. Its
 * standard output has JSON lines:
 *  - `{ "versions": { name: version } }` after the first step
 *  - `{ "milliseconds": x }` after each request; salora's side adds the operations of its products
 *  - `{ "peakBytes": n }` at the end
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { tf32Switch } from '../../accelerated/engines/loadOnnxRuntime.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { type BenchmarkKind, type PeerMode, tokensOf, type BenchmarkCase } from './cases.js'
import { median, quantile } from 'simple-statistics'

/** What a side is started with, as its one argument: a JSON text. */
export type SideRequest = {
  /** folder of the model */
  readonly model: string
  /** encoder: classifies · decoder: learns every next token */
  readonly kind: BenchmarkKind
  /** a file with the batches: [batch][example] { inputIds, label } */
  readonly batches: string
  /** a file with the batches to evaluate on, where that is asked for */
  readonly evaluation: string | null
  readonly method: string
  readonly precision: string
  /** where it runs (default: the CPU) */
  readonly device?: string
  /** whether products of float32 numbers may use TF32 (default: no) */
  readonly tf32?: boolean
  /** how PEFT runs; salora's side ignores it */
  readonly mode?: PeerMode
  readonly dropout: number
  readonly threads: number
  /** of the whole run that the steps are of: schedules follow from it */
  readonly steps: number
}

/** operations: of matrix products, where the side counts them */
export type StepTaken = { readonly milliseconds: number; readonly operations: number | null }

export type Side = {
  /** seconds from the start of the process to the end of its first step */
  readonly readyAfter: number
  /** versions of what ran, as it names them */
  readonly versions: Readonly<Record<string, string>>
  /** one step on the batch of this number */
  readonly step: (batch: number) => Promise<StepTaken>
  /** answers for the examples of the evaluation. → milliseconds */
  readonly evaluate: () => Promise<number>
  /** ends it at once, where it has not ended */
  readonly kill: () => void
  /** ends the process. → its largest resident memory */
  readonly close: () => Promise<number>
}

/** TF32 as the request has it, whatever this process has. */
const environmentOf = ({ tf32 }: SideRequest): NodeJS.ProcessEnv => ({ ...process.env, [tf32Switch]: tf32 === true ? undefined : '0' })

/** The program of salora's side. */
export const saloraFile = fileURLToPath(new URL('./saloraWorker.js', import.meta.url))

/** The program of PEFT's side, which is beside the sources and not in dist/. */
export const peerFile = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../evaluation/benchmark/peer.py' : './peer.py', import.meta.url),
)

/** @throws InputError if the process does not come to its first step; with its last line on standard error */
export const openSide = async (command: string, args: readonly string[], request: SideRequest): Promise<Side> => {
  const began = performance.now()
  const child = spawn(command, [...args, JSON.stringify(request)], { env: environmentOf(request), stdio: ['pipe', 'pipe', 'pipe'] })
  const errors: string[] = []
  createInterface(child.stderr).on('line', (line) => errors.push(line))
  child.stdin.on('error', () => undefined) // the process exited, which the reader of its lines notices
  const failed = new Promise<never>((_, reject) => {
    child.on('error', (error) => reject(inputError(command, 'a program that can be started', error.message)))
    child.on('exit', (code, signal) => {
      if (code !== 0) reject(inputError([command, ...args].join(' '), 'steps of training', `${errors.at(-1) ?? `exit ${code ?? signal}`}`))
    })
  })
  failed.catch(() => undefined) // reported to the reader of the next line
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async (): Promise<Readonly<Record<string, unknown>>> => {
    const line = await Promise.race([lines.next(), failed])
    if (line.done === true) return failed
    return JSON.parse(line.value) as Readonly<Record<string, unknown>>
  }
  const ask = (line: string): ReturnType<typeof next> => {
    child.stdin.write(`${line}\n`)
    return next()
  }
  const { versions } = await next()
  return {
    readyAfter: (performance.now() - began) / 1000,
    versions: versions as Readonly<Record<string, string>>,
    kill: () => void child.kill('SIGKILL'),
    step: async (batch) => {
      const { milliseconds, operations } = await ask(String(batch))
      return { milliseconds: Number(milliseconds), operations: operations === undefined ? null : Number(operations) }
    },
    evaluate: async () => Number((await ask('evaluate'))['milliseconds']),
    close: async () => {
      child.stdin.end()
      return Number((await next())['peakBytes'])
    },
  }
}

// Two sides of a benchmark in turn: steps on the same batches, and after those of an epoch its evaluation.
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

const resultOf = (steps: readonly Timed[], evaluation: number | null, { peakBytes, readySeconds }: Ended): SideResult => {
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
const ratioOf = (own: SideResult, other: SideResult, turns: readonly Turn[]): Ratio => {
  if (own.epochSeconds !== null && other.epochSeconds !== null) {
    const ratio = other.epochSeconds / own.epochSeconds
    return [ratio, ratio, ratio]
  }
  const ratios = turns.flatMap(({ ours, theirs }) => (theirs === null ? [] : [theirs.milliseconds / ours.milliseconds]))
  return [quantile(ratios, 0.25), median(ratios), quantile(ratios, 0.75)]
}
