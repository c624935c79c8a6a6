/**
 * A benchmark against PEFT: the same checkpoint, the same batches, each side in a process of its own, a step of one after a step of the other.
 * Without a Python it measures ours alone.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { median, quantile } from 'simple-statistics'
import { mistake, quoted } from '../../accelerated/files/mistake.js'
import { openModelFolder } from '../../accelerated/files/modelFolder.js'
import { evenCase, mrpcCase, tokensOf, type BenchmarkCase } from './cases.js'
import { benchmarkModel, wholeVocabulary } from './model.js'
import { openSide, type Side, type SideRequest } from './side.js'

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
  /** from the start of the process to the end of its first step */
  readonly readySeconds: number
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

/** @throws Mistake where a side cannot take its steps */
export async function* peers(options: PeersOptions): AsyncGenerator<PeerRow | string, PeersResult> {
  const { python, data, only, threads, repeats, layers } = options
  yield 'writing a random model …'
  const { folder, remove } = await benchmarkModel({ layers, sequence: longest, vocabulary: wholeVocabulary })
  const rows: PeerRow[] = []
  let versions: Readonly<Record<string, string>> = {}
  try {
    const { model } = await openModelFolder(folder)
    const vocabulary = model.vocabularySize
    const cases = [
      evenCase(16, 64, vocabulary),
      evenCase(16, 128, vocabulary),
      ...(data === null
        ? []
        : [await mrpcCase(16, data, { folder, model }, repeats), await mrpcCase(32, data, { folder, model }, repeats)]),
    ]
    const kinds = [cases.map(({ name }) => name), comparisons.map(({ method }) => method), comparisons.map(({ precision }) => precision)]
    const unknown = only?.find((name) => !kinds.some((names) => names.includes(name)))
    if (unknown !== undefined) throw mistake('--only', `some of ${[...new Set(kinds.flat())].join(', ')}`, quoted(unknown))
    /** Of a kind that nothing is asked of, everything is. */
    const wanted = (name: string): boolean => {
      const asked = kinds.find((names) => names.includes(name))?.filter((other) => only?.includes(other)) ?? []
      return asked.length === 0 || asked.includes(name)
    }
    for (const own of cases.filter(({ name }) => wanted(name))) {
      const batches = join(folder, 'batches.json')
      await writeFile(batches, JSON.stringify(own.batches))
      for (const { method, precision, peer } of comparisons.filter((one) => wanted(one.method) && wanted(one.precision))) {
        yield `${own.name}: ${method} in ${precision} …`
        const request = { model: folder, batches, dropout: own.dropout, threads, steps: runSteps }
        const sides: Side[] = []
        const open = async (command: string, file: string, of: Pick<SideRequest, 'method' | 'precision'>): Promise<Side> => {
          const side = await openSide(command, [file], { ...request, ...of })
          sides.push(side)
          versions = { ...versions, ...side.versions }
          return side
        }
        const measured = await (async () => {
          const theirs = python === null ? null : await open(python, peerFile, peer) // first: of the two it is the one that may lack something
          return alternate(own, await open(process.execPath, sideFile('ours.js'), { method, precision }), theirs, repeats)
        })().finally(() => sides.forEach(({ kill }) => kill()))
        const row: PeerRow = {
          case: own.name,
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
  }
}

/** Tokens of the longest text in any case. */
const longest = 128

const sideFile = (name: string): string => fileURLToPath(new URL(`./${name}`, import.meta.url))

/** Not compiled: it lies beside the sources. */
const peerFile = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../evaluation/benchmark/peer.py' : './peer.py', import.meta.url),
)

const alternate = async (
  { batches }: BenchmarkCase,
  ours: Side,
  theirs: Side | null,
  repeats: number,
): Promise<{ readonly ours: SideResult; readonly theirs: SideResult | null; readonly ratio: PeerRow['ratio'] }> => {
  const times: { readonly ours: number; readonly theirs: number; readonly tokens: number }[] = []
  for (let i = -warmUp; i < repeats; i++) {
    const batch = (i + warmUp) % batches.length
    const own = await ours.step(batch)
    const other = theirs === null ? NaN : await theirs.step(batch)
    if (i >= 0) times.push({ ours: own, theirs: other, tokens: tokensOf(batches[batch] ?? []) })
  }
  const tokens = times.reduce((sum, time) => sum + time.tokens, 0)
  const resultOf = async (side: Side, values: number[]): Promise<SideResult> => ({
    milliseconds: median(values),
    tokensPerSecond: (1000 * tokens) / values.reduce((a, b) => a + b, 0),
    peakBytes: await side.close(),
    readySeconds: side.readyAfter,
  })
  const ratios = times.map((time) => time.theirs / time.ours)
  return {
    ours: await resultOf(
      ours,
      times.map((time) => time.ours),
    ),
    theirs:
      theirs === null
        ? null
        : await resultOf(
            theirs,
            times.map((time) => time.theirs),
          ),
    ratio: theirs === null ? null : [quantile(ratios, 0.25), median(ratios), quantile(ratios, 0.75)],
  }
}
