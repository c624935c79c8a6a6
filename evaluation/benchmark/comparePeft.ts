/**
 * A benchmark against PEFT on the same checkpoint and batches. Each side has a process of its own, and they take turns step by step. Without a
 * Python it measures salora only.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { evenCase, mrpcBatches, mrpcCases, mrpcEpoch, type BenchmarkCase, type BenchmarkKind } from './cases.js'
import { benchmarkModel, decoderVocabulary, wholeVocabulary } from './model.js'
import { chosenCases, type Pairing, type PeerMode } from './pairings.js'
import { productRates, type ProductRates } from './productRates.js'
import { takeTurns, type Ratio, type SideResult } from './turns.js'
import { openSide, peerFile, saloraFile, type Side, type SideRequest } from './worker.js'

export type PeersOptions = {
  /** a Python with torch, transformers and peft; null: ours alone */
  readonly python: string | null
  /** folder of MRPC's official files; null: without its cases */
  readonly data: string | null
  /** names of cases, methods and precisions to run; null: all */
  readonly only: ReadonlyArray<string> | null
  /** how PEFT runs: every pairing once for each */
  readonly modes: ReadonlyArray<PeerMode>
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
  readonly rows: ReadonlyArray<PeerRow>
}

type Versions = PeersResult['versions']

/** Steps of each side before the measured ones. torch.compile compiles for each shape of a batch. */
const warmUp = 2

/** Of the run that the steps are of: long enough that no phase ends within the measurement. */
const runSteps = 10_000

/** @throws InputError if a side cannot take its steps */
export async function* peers(options: PeersOptions): AsyncGenerator<PeerRow | string, PeersResult> {
  const { only, modes, layers, threads } = options
  yield 'writing a random model …'
  const encoder = await benchmarkModel({ layers, sequence: longest, vocabulary: wholeVocabulary })
  const decoder = await benchmarkModel({ layers, sequence: longest, vocabulary: decoderVocabulary }, 'decoder')
  const folders = { encoder: encoder.folder, decoder: decoder.folder }
  const rows: PeerRow[] = []
  let versions: Versions = {}
  try {
    for (const { benchmark, pairings } of chosenCases(await casesOf(folders.encoder, options), only, modes)) {
      const request = { threads, steps: runSteps, ...(await requestOf(benchmark, folders)) }
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
    encoder.remove()
    decoder.remove()
  }
}

const casesOf = async (folder: string, { data, repeats }: PeersOptions): Promise<ReadonlyArray<BenchmarkCase>> => {
  const { model } = await openModelFolder(folder)
  const vocabulary = model.vocabularySize
  return [
    evenCase(16, 64, vocabulary),
    evenCase(16, 128, vocabulary),
    evenCase(8, 128, decoderVocabulary, 'decoder'),
    ...(data === null ? [] : await casesOfMrpc(data, { folder, model }, repeats)),
  ]
}

const casesOfMrpc = async (
  data: string,
  model: { readonly folder: string; readonly model: Model },
  repeats: number,
): Promise<ReadonlyArray<BenchmarkCase>> => {
  const [sixteen, thirtyTwo] = [await mrpcBatches(16, data, model), await mrpcBatches(32, data, model)]
  return [...mrpcCases(16, sixteen, repeats), ...mrpcCases(32, thirtyTwo, repeats), mrpcEpoch(sixteen)]
}

/** What both sides of a case are started with, and the file of the peer's batches. */
type CaseRequest = Omit<SideRequest, 'method' | 'precision' | 'mode'> & { readonly peerBatches: string }

/** Writes the batches beside the encoder. */
const requestOf = async (
  { kind, dropout, batches, epoch }: BenchmarkCase,
  folders: Readonly<Record<BenchmarkKind, string>>,
): Promise<Omit<CaseRequest, 'threads' | 'steps'>> => {
  const written = async (name: string, content: BenchmarkCase['batches']): Promise<string> => {
    const file = join(folders.encoder, name)
    await writeFile(file, JSON.stringify(content))
    return file
  }
  const batchFile = await written('batches.json', batches)
  return {
    model: folders[kind],
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
