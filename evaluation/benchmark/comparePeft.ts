/**
 * A benchmark against PEFT on the same checkpoint and batches. Each side has a process of its own, and they take turns step by step. Without a
 * Python it measures salora only.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { median, quantile } from 'simple-statistics'
import {
  type Batches,
  type BenchmarkCase,
  type BenchmarkKind,
  chosenCases,
  evenCase,
  mrpcCases,
  type Pairing,
  type PeerMode,
} from './cases.js'
import { productRates, type ProductRates } from './productRates.js'
import { decoderVocabulary, randomModel, robertaVocabulary, type RandomModel } from './randomModel.js'
import { openSide, peerFile, saloraFile, type Side, type SideRequest, type StepTaken } from './side.js'

export type PeersOptions = {
  /** a Python with torch, transformers and peft; null: ours alone */
  readonly python: string | null
  /** folder of MRPC's official files; null: without its cases */
  readonly data: string | null
  /** names of cases, methods and precisions to run; null: all */
  readonly only: readonly string[] | null
  /** how PEFT runs: every pairing once for each */
  readonly modes: readonly PeerMode[]
  readonly layers: number
  readonly threads: number
  /** alternations after warm-up */
  readonly repeats: number
}

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

export type PeerRow = {
  readonly case: string
  readonly method: string
  readonly precision: string
  readonly ours: SideResult
  /** null where there is no Python */
  readonly peer: (SideResult & Pairing['peer']) | null
  /** the peer's time over ours in pairs of steps on the same batch, or of an epoch: the median, and the quartiles; null where there is no Python */
  readonly ratio: readonly [lower: number, median: number, upper: number] | null
}

export type PeersResult = {
  readonly versions: Readonly<Record<string, string>>
  readonly products: ProductRates
  readonly rows: readonly PeerRow[]
}

/** Steps of each side before the measured ones. torch.compile compiles for each shape of a batch. */
const warmUp = 2

/** Of the run that the steps are of: long enough that no phase ends within the measurement. */
const runSteps = 10_000

/** Tokens of the longest text in any case. */
const longest = 128

/** @throws InputError if a side cannot take its steps */
export async function* peers(options: PeersOptions): AsyncGenerator<PeerRow | string, PeersResult> {
  const { python, data, only, modes, layers, threads, repeats } = options
  yield 'writing a random model …'
  const models = new Map<BenchmarkKind, RandomModel>()
  /** Most calls need only one model: each is written when it is first asked for. */
  const ensureFolder = async (kind: BenchmarkKind): Promise<string> => {
    const vocabulary = kind === 'encoder' ? robertaVocabulary : decoderVocabulary
    const model = models.get(kind) ?? (await randomModel({ layers, sequence: longest, vocabulary }, kind))
    models.set(kind, model)
    return model.folder
  }
  const rows: PeerRow[] = []
  const versions: Record<string, string> = {}
  try {
    const cases = [
      evenCase(16, 64, robertaVocabulary),
      evenCase(16, 128, robertaVocabulary),
      evenCase(8, 128, decoderVocabulary, 'decoder'),
    ]
    const mrpc = data === null ? [] : await mrpcCases(data, await ensureFolder('encoder'), repeats)
    for (const { benchmark, pairings } of chosenCases([...cases, ...mrpc], only, modes)) {
      const requests = await writeRequests(benchmark, await ensureFolder(benchmark.kind), threads)
      for (const pairing of pairings) {
        yield `${benchmark.name}: ${pairing.method} in ${pairing.precision} …`
        const row = await measure(benchmark, pairing, requests, options, versions)
        rows.push(row)
        yield row
      }
    }
    yield 'multiplying matrices in each precision …'
    return { versions, products: await productRates(threads, python), rows }
  } finally {
    for (const { remove } of models.values()) remove()
  }
}

/** What our side and the peer are started with, but for method and precision. */
type Requests = Readonly<Record<'ours' | 'theirs', Omit<SideRequest, 'method' | 'precision'>>>

const writeRequests = async ({ kind, dropout, batches, epoch }: BenchmarkCase, model: string, threads: number): Promise<Requests> => {
  const write = async (name: string, content: Batches): Promise<string> => {
    await writeFile(join(model, name), JSON.stringify(content))
    return join(model, name)
  }
  const file = await write('batches.json', batches)
  const evaluation = epoch === undefined ? null : await write('evaluation.json', epoch.evaluation)
  const ours = { model, kind, dropout, threads, steps: runSteps, batches: file, evaluation }
  return { ours, theirs: epoch === undefined ? ours : { ...ours, batches: await write('peerBatches.json', epoch.peerBatches) } }
}

/** Both processes of a row, from their start to their end. @param versions are added to */
const measure = async (
  benchmark: BenchmarkCase,
  { peer, ...own }: Pairing,
  requests: Requests,
  { python, repeats }: PeersOptions,
  versions: Record<string, string>,
): Promise<PeerRow> => {
  // first, since packages may be missing on this side
  const theirs = python === null ? null : await openSide(python, peerFile, { ...requests.theirs, ...peer })
  try {
    const ours = await openSide(process.execPath, saloraFile, { ...requests.ours, ...own })
    try {
      Object.assign(versions, theirs?.versions, ours.versions)
      const row = await takeTurns(benchmark, ours, theirs, repeats, peer.mode === 'compile' ? warmUp + benchmark.batches.length : warmUp)
      return { case: benchmark.name, ...own, ...row, peer: row.peer === null ? null : { ...row.peer, ...peer } }
    } finally {
      ours.kill()
    }
  } finally {
    theirs?.kill()
  }
}

type Step = StepTaken & { readonly tokens: number }
type Turns = { readonly ours: SideResult; readonly peer: SideResult | null; readonly ratio: PeerRow['ratio'] }

/** Steps in turn, and after those of an epoch its evaluation. It ends both sides. @param before steps of each before the measured ones */
const takeTurns = async (
  { batches, epoch }: BenchmarkCase,
  ours: Side,
  theirs: Side | null,
  repeats: number,
  before: number,
): Promise<Turns> => {
  const [first, count] = epoch === undefined ? [-before, repeats] : [0, batches.length]
  const [ownSteps, otherSteps]: [Step[], Step[]] = [[], []]
  for (let i = first; i < count; i++) {
    const own = await timedStep(ours, batches, i - first)
    const other = theirs === null ? [] : [await timedStep(theirs, epoch?.peerBatches ?? batches, i - first)]
    if (i >= 0) ownSteps.push(own)
    if (i >= 0) otherSteps.push(...other)
  }
  const own = await buildResult(ours, ownSteps, epoch !== undefined)
  if (theirs === null) return { ours: own, peer: null, ratio: null }
  const peer = await buildResult(theirs, otherSteps, epoch !== undefined)
  const ratios = otherSteps.map(({ milliseconds }, i) => milliseconds / (ownSteps[i]?.milliseconds ?? NaN))
  const ofEpoch = (peer.epochSeconds ?? NaN) / (own.epochSeconds ?? NaN)
  const quartiles = [quantile(ratios, 0.25), median(ratios), quantile(ratios, 0.75)] as const
  return { ours: own, peer, ratio: epoch === undefined ? quartiles : [ofEpoch, ofEpoch, ofEpoch] }
}

const timedStep = async (side: Side, batches: Batches, number: number): Promise<Step> => {
  const batch = number % batches.length
  return { ...(await side.step(batch)), tokens: (batches[batch] ?? []).reduce((sum, { inputIds }) => sum + inputIds.length, 0) }
}

const buildResult = async (side: Side, steps: readonly Step[], isEpoch: boolean): Promise<SideResult> => {
  const sum = (of: (step: Step) => number): number => steps.reduce((total, step) => total + of(step), 0)
  const duration = sum(({ milliseconds }) => milliseconds)
  const operations = sum((step) => step.operations ?? NaN)
  return {
    milliseconds: median(steps.map(({ milliseconds }) => milliseconds)),
    tokensPerSecond: (1000 * sum(({ tokens }) => tokens)) / duration,
    epochSeconds: isEpoch ? (duration + (await side.evaluate())) / 1000 : null,
    peakBytes: await side.close(),
    gigaflops: Number.isNaN(operations) ? null : operations / duration / 1e6,
    readySeconds: side.readySeconds,
  }
}
