/**
 * A benchmark against PEFT on the same checkpoint and batches. Each side has a process of its own, and they take turns step by step. Without a
 * Python it measures salora only.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { median, quantile } from 'simple-statistics'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { evenCase, mrpcBatches, mrpcCases, mrpcEpoch, tokensOf, type BenchmarkCase } from './cases.js'
import { benchmarkModel, decoderVocabulary, wholeVocabulary } from './model.js'
import { openSide, type Side, type SideRequest, type StepTaken } from './worker.js'

export type PeersOptions = {
  /** a Python with torch, transformers and peft; null: ours alone */
  readonly python: string | null
  /** folder of MRPC's official files; null: without its cases */
  readonly data: string | null
  /** names of cases and of comparisons to run; null: all */
  readonly only: ReadonlyArray<string> | null
  readonly layers: number
  readonly threads: number
  /** alternations after warm-up */
  readonly repeats: number
}

/** What is set beside what: ours, by method and precision, and PEFT's. */
type Comparison = {
  readonly method: string
  readonly precision: string
  readonly peer: { readonly method: string; readonly precision: string }
}

const comparisons: ReadonlyArray<Comparison> = [
  { method: 'lora', precision: 'float32', peer: { method: 'lora', precision: 'float32' } },
  { method: 'lora', precision: 'int8', peer: { method: 'lora', precision: 'bfloat16' } },
  { method: 'salora', precision: 'float32', peer: { method: 'lora', precision: 'float32' } },
  { method: 'salora', precision: 'int8', peer: { method: 'lora', precision: 'bfloat16' } },
  { method: 'adalora', precision: 'float32', peer: { method: 'adalora', precision: 'float32' } },
  { method: 'adalora', precision: 'int8', peer: { method: 'adalora', precision: 'bfloat16' } },
  { method: 'full', precision: 'float32', peer: { method: 'full', precision: 'float32' } },
]

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
  readonly peer: (SideResult & { readonly method: string; readonly precision: string }) | null
  /** the peer's time over ours in pairs of steps on the same batch: their median, and their quartiles */
  readonly ratio: readonly [lower: number, median: number, upper: number] | null
}

export type PeersResult = { readonly versions: Readonly<Record<string, string>>; readonly rows: ReadonlyArray<PeerRow> }

const warmUp = 2

/** Of the run that the steps are of: long enough that no phase ends within the measurement. */
const runSteps = 10_000

/** @throws InputError if a side cannot take its steps */
export async function* peers(options: PeersOptions): AsyncGenerator<PeerRow | string, PeersResult> {
  const { python, data, only, threads, repeats, layers } = options
  yield 'writing a random model …'
  const { folder, remove } = await benchmarkModel({ layers, sequence: longest, vocabulary: wholeVocabulary })
  const decoder = await benchmarkModel({ layers, sequence: longest, vocabulary: decoderVocabulary }, 'decoder')
  const rows: PeerRow[] = []
  let versions: Readonly<Record<string, string>> = {}
  try {
    const { model } = await openModelFolder(folder)
    const vocabulary = model.vocabularySize
    const cases = [
      evenCase(16, 64, vocabulary),
      evenCase(16, 128, vocabulary),
      evenCase(8, 128, decoderVocabulary, 'decoder'),
      ...(data === null ? [] : await casesOf(data, { folder, model }, repeats)),
    ]
    const kinds = [cases.map(({ name }) => name), comparisons.map(({ method }) => method), comparisons.map(({ precision }) => precision)]
    const unknown = only?.find((name) => !kinds.some((names) => names.includes(name)))
    if (unknown !== undefined) throw inputError('--only', `some of ${[...new Set(kinds.flat())].join(', ')}`, quoted(unknown))
    /** A kind that --only does not name is not restricted. */
    const isSelected = (name: string): boolean => {
      const selected = kinds.find((names) => names.includes(name))?.filter((other) => only?.includes(other)) ?? []
      return selected.length === 0 || selected.includes(name)
    }
    const written = async (name: string, batches: BenchmarkCase['batches']): Promise<string> => {
      await writeFile(join(folder, name), JSON.stringify(batches))
      return join(folder, name)
    }
    for (const benchmarkCase of cases.filter(({ name, epoch }) => (epoch === undefined ? isSelected(name) : only?.includes(name)))) {
      const batches = await written('batches.json', benchmarkCase.batches)
      const peerBatches = benchmarkCase.epoch === undefined ? batches : await written('peerBatches.json', benchmarkCase.epoch.peerBatches)
      const evaluation = benchmarkCase.epoch === undefined ? null : await written('evaluation.json', benchmarkCase.epoch.evaluation)
      for (const { method, precision, peer } of comparisons.filter(
        (comparison) => isSelected(comparison.method) && isSelected(comparison.precision) && isOf(benchmarkCase, comparison),
      )) {
        yield `${benchmarkCase.name}: ${method} in ${precision} …`
        const request = {
          model: benchmarkCase.kind === 'encoder' ? folder : decoder.folder,
          kind: benchmarkCase.kind,
          evaluation,
          dropout: benchmarkCase.dropout,
          threads,
          steps: runSteps,
        }
        const sides: Side[] = []
        const open = async (command: string, file: string, of: Pick<SideRequest, 'method' | 'precision' | 'batches'>): Promise<Side> => {
          const side = await openSide(command, [file], { ...request, ...of })
          sides.push(side)
          versions = { ...versions, ...side.versions }
          return side
        }
        const measured = await (async () => {
          // first, since packages may be missing on this side
          const theirs = python === null ? null : await open(python, peerFile, { ...peer, batches: peerBatches })
          const ours = await open(process.execPath, sideFile('saloraWorker.js'), { method, precision, batches })
          return alternate(benchmarkCase, { ours, theirs }, repeats)
        })().finally(() => sides.forEach(({ kill }) => kill()))
        const row: PeerRow = {
          case: benchmarkCase.name,
          method,
          precision,
          ours: measured.ours,
          peer: measured.theirs === null ? null : { ...measured.theirs, ...peer },
          ratio: measured.ratio,
        }
        rows.push(row)
        yield row
      }
    }
    return { versions, rows }
  } finally {
    remove()
    decoder.remove()
  }
}

/** Decoders run only the comparisons of LoRA and SaLoRA. */
const isOf = ({ kind }: BenchmarkCase, { method }: Comparison): boolean => kind === 'encoder' || method === 'lora' || method === 'salora'

const casesOf = async (data: string, model: Parameters<typeof mrpcBatches>[2], repeats: number): Promise<ReadonlyArray<BenchmarkCase>> => {
  const [sixteen, thirtyTwo] = [await mrpcBatches(16, data, model), await mrpcBatches(32, data, model)]
  return [...mrpcCases(16, sixteen, repeats), ...mrpcCases(32, thirtyTwo, repeats), mrpcEpoch(sixteen)]
}

/** Tokens of the longest text in any case. */
const longest = 128

const sideFile = (name: string): string => fileURLToPath(new URL(`./${name}`, import.meta.url))

/** A Python file, which is beside the sources and not in dist/. */
const peerFile = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../evaluation/benchmark/peer.py' : './peer.py', import.meta.url),
)

type Pair = { readonly ours: Side; readonly theirs: Side | null }

/** Steps in turn, and after those of an epoch its evaluation. */
const alternate = async (
  { batches, epoch }: BenchmarkCase,
  { ours, theirs }: Pair,
  repeats: number,
): Promise<{ readonly ours: SideResult; readonly theirs: SideResult | null; readonly ratio: PeerRow['ratio'] }> => {
  const peerBatches = epoch?.peerBatches ?? batches
  const [before, count] = epoch === undefined ? [warmUp, repeats] : [0, batches.length]
  const times: { readonly ours: Timed; readonly theirs: Timed | null }[] = []
  const timed = async (side: Side, from: BenchmarkCase['batches'], number: number): Promise<Timed> => {
    const batch = number % from.length
    return { ...(await side.step(batch)), tokens: tokensOf(from[batch] ?? []) }
  }
  for (let i = 0; i < before + count; i++) {
    const oursTimed = await timed(ours, batches, i)
    const theirsTimed = theirs === null ? null : await timed(theirs, peerBatches, i)
    if (i >= before) times.push({ ours: oursTimed, theirs: theirsTimed })
  }
  const evaluations = epoch === undefined ? null : { ours: await ours.evaluate(), theirs: (await theirs?.evaluate()) ?? null }
  const resultOf = async (side: Side, steps: ReadonlyArray<Timed>, evaluation: number | null): Promise<SideResult> => {
    const sum = (of: (step: Timed) => number): number => steps.reduce((total, step) => total + of(step), 0)
    const total = sum(({ milliseconds }) => milliseconds)
    const gigaflops = steps.some(({ operations }) => operations === null) ? null : sum(({ operations }) => operations ?? NaN) / total / 1e6
    return {
      milliseconds: median(steps.map(({ milliseconds }) => milliseconds)),
      tokensPerSecond: (1000 * sum(({ tokens }) => tokens)) / total,
      peakBytes: await side.close(),
      gigaflops,
      readySeconds: side.readyAfter,
      epochSeconds: evaluation === null ? null : (total + evaluation) / 1000,
    }
  }
  const oursResult = await resultOf(
    ours,
    times.map((time) => time.ours),
    evaluations?.ours ?? null,
  )
  const theirTimes = times.flatMap((time) => time.theirs ?? [])
  const theirsResult = theirs === null ? null : await resultOf(theirs, theirTimes, evaluations?.theirs ?? null)
  return { ours: oursResult, theirs: theirsResult, ratio: ratioOf(oursResult, theirsResult, times) }
}

type Timed = StepTaken & { readonly tokens: number }

/** Of an epoch as a whole, else of pairs of steps. */
const ratioOf = (
  ours: SideResult,
  theirs: SideResult | null,
  times: ReadonlyArray<{ readonly ours: Timed; readonly theirs: Timed | null }>,
): PeerRow['ratio'] => {
  if (theirs === null) return null
  if (ours.epochSeconds !== null && theirs.epochSeconds !== null) {
    const ratio = theirs.epochSeconds / ours.epochSeconds
    return [ratio, ratio, ratio]
  }
  const ratios = times.flatMap(({ ours, theirs }) => (theirs === null ? [] : [theirs.milliseconds / ours.milliseconds]))
  return [quantile(ratios, 0.25), median(ratios), quantile(ratios, 0.75)]
}
