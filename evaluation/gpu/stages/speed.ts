/** Time and memory of a LoRA step beside PEFT: each side alone on the card, on the same batches, one after the other. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { median } from 'simple-statistics'
import { cardMemoryInUse } from '../../../accelerated/engines/nvidiaCard.js'
import { evenCase, type BenchmarkKind } from '../../benchmark/cases.js'
import { benchmarkModel, decoderVocabulary, wholeVocabulary } from '../../benchmark/model.js'
import { openSide, peerFile, saloraFile, type SideRequest } from '../../benchmark/worker.js'
import type { Facts, Stage, TrialOptions } from '../stage.js'

type Shape = { readonly kind: BenchmarkKind; readonly title: string; readonly batchSize: number; readonly length: number }
const shapes: ReadonlyArray<Shape> = [
  { kind: 'encoder', title: "RoBERTa-base's shape, 32 × 128 tokens", batchSize: 32, length: 128 },
  { kind: 'decoder', title: "SmolLM2-135M's shape, 8 × 128 tokens", batchSize: 8, length: 128 },
]

/** Arithmetic of both sides: ours and PEFT's precision, and whether float32 products use TF32. */
type Arithmetic = { readonly name: string; readonly ours: string; readonly peers: string; readonly tf32: boolean }
const arithmetics: ReadonlyArray<Arithmetic> = [
  { name: 'float32', ours: 'float32', peers: 'float32', tf32: false },
  { name: 'TF32', ours: 'float32', peers: 'float32', tf32: true },
  { name: '16 bits', ours: 'mixed', peers: 'bfloat16', tf32: false },
]

export const speedStages: ReadonlyArray<Stage> = shapes.flatMap((shape) =>
  arithmetics.map((arithmetic) => ({
    name: `speed-${shape.kind}-${arithmetic.name.replace(' ', '-').toLowerCase()}`,
    title: `Step of ${shape.title}, ${arithmetic.name}`,
    run: (options: TrialOptions, folder: string) => measure(shape, arithmetic, options, folder),
  })),
)

const [warmUp, runSteps] = [3, 10_000]

const measure = async (
  { kind, batchSize, length }: Shape,
  { ours, peers, tf32 }: Arithmetic,
  { device, python, repeats, small }: TrialOptions,
  folder: string,
): Promise<Facts> => {
  const [rows, tokens, layers] = small ? [2, 8, 1] : [batchSize, length, 12]
  const vocabulary = small ? 1_000 : kind === 'encoder' ? wholeVocabulary : decoderVocabulary
  const model = await benchmarkModel({ layers, sequence: tokens, vocabulary }, kind)
  try {
    const batches = join(folder, 'batches.json')
    await writeFile(batches, JSON.stringify(evenCase(rows, tokens, vocabulary, kind).batches))
    const shared = { model: model.folder, kind, batches, evaluation: null, method: 'lora', dropout: 0, threads: 0, steps: runSteps }
    const asked = { ...shared, device, tf32 }
    const own = await timesOf(process.execPath, saloraFile, { ...asked, precision: ours }, repeats)
    const theirs = python === null ? null : await timesOf(python, peerFile, { ...asked, precision: peers, mode: 'eager' }, repeats)
    return {
      batch: [rows, tokens],
      layers,
      ours: { precision: ours, ...own },
      peer: theirs === null ? null : { precision: peers, ...theirs },
    }
  } finally {
    model.remove()
  }
}

/** cardBytes: what the card's memory grew by; null: it cannot be read */
type Times = {
  readonly milliseconds: number
  readonly readySeconds: number
  readonly peakBytes: number
  readonly cardBytes: number | null
  readonly versions: Facts
}

const timesOf = async (command: string, file: string, request: SideRequest, repeats: number): Promise<Times> => {
  const before = await cardMemoryInUse(0)
  const side = await openSide(command, [file], request)
  try {
    const times: number[] = []
    for (let i = 0; i < warmUp + repeats; i++) times.push((await side.step(0)).milliseconds)
    const after = await cardMemoryInUse(0)
    const cardBytes = before === null || after === null ? null : after - before
    const { versions, readyAfter } = side
    return { milliseconds: median(times.slice(warmUp)), readySeconds: readyAfter, cardBytes, versions, peakBytes: await side.close() }
  } finally {
    side.kill()
  }
}
