/**
 * A benchmark against PEFT on the same checkpoint and batches. Each side has a process of its own, and they take turns step by step. Without a
 * Python it measures salora only.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import {
  evenCase,
  mrpcBatches,
  mrpcCases,
  mrpcEpoch,
  type BenchmarkCase,
  type BenchmarkKind,
  chosenCases,
  type Pairing,
  type PeerMode,
} from './cases.js'
import { benchmarkModel, decoderVocabulary, wholeVocabulary } from './model.js'
import { productRates, type ProductRates } from './productRates.js'
import { takeTurns, type Ratio, type SideResult, openSide, peerFile, saloraFile, type Side, type SideRequest } from './worker.js'

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

export type PeerRow = {
  readonly case: string
  readonly method: string
  readonly precision: string
  readonly ours: SideResult
  /** null where there is no Python */
  readonly peer: (SideResult & Pairing['peer']) | null
  /** null where there is no Python */
  readonly ratio: Ratio | null
}

export type PeersResult = {
  readonly versions: Readonly<Record<string, string>>
  readonly products: ProductRates
  readonly rows: readonly PeerRow[]
}

type Versions = PeersResult['versions']

/** Steps of each side before the measured ones. torch.compile compiles for each shape of a batch. */
const warmUp = 2

/** Of the run that the steps are of: long enough that no phase ends within the measurement. */
const runSteps = 10_000

/** @throws InputError if a side cannot take its steps */
export async function* peers(options: PeersOptions): AsyncGenerator<PeerRow | string, PeersResult> {
  const { only, modes, threads } = options
  yield 'writing a random model …'
  const models = writtenModels(options.layers)
  const rows: PeerRow[] = []
  let versions: Versions = {}
  try {
    for (const { benchmark, pairings } of chosenCases(await casesOf(models, options), only, modes)) {
      const request = { threads, steps: runSteps, ...(await requestOf(benchmark, await models.folderOf(benchmark.kind))) }
      for (const pairing of pairings) {
        yield `${benchmark.name}: ${pairing.method} in ${pairing.precision} …`
        const measured = await measure(benchmark, pairing, request, options)
        versions = { ...versions, ...measured.versions }
        rows.push(measured.row)
        yield measured.row
      }
    }
    yield 'multiplying matrices in each precision …'
    return { versions, products: await productRates(threads, options.python), rows }
  } finally {
    models.remove()
  }
}

const vocabularies: Readonly<Record<BenchmarkKind, number>> = { encoder: wholeVocabulary, decoder: decoderVocabulary }

type WrittenModels = {
  /** Writes the model when it is first asked for: most calls need only one. */
  readonly folderOf: (kind: BenchmarkKind) => Promise<string>
  readonly remove: () => void
}

const writtenModels = (layers: number): WrittenModels => {
  const written = new Map<BenchmarkKind, Awaited<ReturnType<typeof benchmarkModel>>>()
  return {
    folderOf: async (kind) => {
      const model = written.get(kind) ?? (await benchmarkModel({ layers, sequence: longest, vocabulary: vocabularies[kind] }, kind))
      written.set(kind, model)
      return model.folder
    },
    remove: () => written.forEach(({ remove }) => remove()),
  }
}

const casesOf = async (models: WrittenModels, { data, repeats }: PeersOptions): Promise<readonly BenchmarkCase[]> => [
  evenCase(16, 64, wholeVocabulary),
  evenCase(16, 128, wholeVocabulary),
  evenCase(8, 128, decoderVocabulary, 'decoder'),
  ...(data === null ? [] : await casesOfMrpc(data, await models.folderOf('encoder'), repeats)),
]

const casesOfMrpc = async (data: string, folder: string, repeats: number): Promise<readonly BenchmarkCase[]> => {
  const model = { folder, model: (await openModelFolder(folder)).model }
  const [sixteen, thirtyTwo] = [await mrpcBatches(16, data, model), await mrpcBatches(32, data, model)]
  return [...mrpcCases(16, sixteen, repeats), ...mrpcCases(32, thirtyTwo, repeats), mrpcEpoch(sixteen)]
}

/** What both sides of a case are started with, and the file of the peer's batches. */
type CaseRequest = Omit<SideRequest, 'method' | 'precision' | 'mode'> & { readonly peerBatches: string }

/** Writes the batches beside the model. */
const requestOf = async (
  { kind, dropout, batches, epoch }: BenchmarkCase,
  folder: string,
): Promise<Omit<CaseRequest, 'threads' | 'steps'>> => {
  const written = async (name: string, content: BenchmarkCase['batches']): Promise<string> => {
    const file = join(folder, name)
    await writeFile(file, JSON.stringify(content))
    return file
  }
  const batchFile = await written('batches.json', batches)
  return {
    model: folder,
    kind,
    dropout,
    batches: batchFile,
    peerBatches: epoch === undefined ? batchFile : await written('peerBatches.json', epoch.peerBatches),
    evaluation: epoch === undefined ? null : await written('evaluation.json', epoch.evaluation),
  }
}

/** Both processes of a row, from their start to their end. */
const measure = async (
  benchmark: BenchmarkCase,
  { peer, ...own }: Pairing,
  { peerBatches, ...request }: CaseRequest,
  { python, repeats }: PeersOptions,
): Promise<{ readonly row: PeerRow; readonly versions: Versions }> => {
  const sides: Side[] = []
  const open = async (command: string, file: string, of: Partial<SideRequest>): Promise<Side> => {
    const side = await openSide(command, [file], { ...request, ...own, ...of })
    sides.push(side)
    return side
  }
  try {
    // first, since packages may be missing on this side
    const theirs = python === null ? null : await open(python, peerFile, { ...peer, batches: peerBatches })
    const ours = await open(process.execPath, saloraFile, {})
    const measured = await takeTurns(
      benchmark,
      { ours, theirs },
      repeats,
      peer.mode === 'compile' ? warmUp + benchmark.batches.length : warmUp,
    )
    return {
      row: {
        case: benchmark.name,
        ...own,
        ours: measured.ours,
        peer: measured.theirs === null ? null : { ...measured.theirs, ...peer },
        ratio: measured.ratio,
      },
      versions: Object.assign({}, ...sides.map((side) => side.versions)),
    }
  } finally {
    for (const { kill } of sides) kill()
  }
}

/** Tokens of the longest text in any case. */
const longest = 128
