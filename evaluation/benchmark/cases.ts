/** What both sides of a benchmark train on: batches of token ids with their labels, the same for either. */
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { batchesOfEpoch, inBatches } from '../../accelerated/training/batchOrder.js'
import { permutation, uniforms } from '../../accelerated/parameters/random.js'
import type { Dataset } from '../../finetuning/data/index.js'
import { loadTask } from '../../finetuning/tasks/loadTask.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'

export type BatchedExample = { readonly inputIds: readonly number[]; readonly label: number }

type Batches = readonly (readonly BatchedExample[])[]

/** RoBERTa-base's shape, as a classifier, or SmolLM2-135M's, which learns every next token. */
export type BenchmarkKind = 'encoder' | 'decoder'

export type BenchmarkCase = {
  readonly name: string
  readonly kind: BenchmarkKind
  readonly dropout: number
  /** one after another, and again from the first */
  readonly batches: Batches
  /** the peer's, where they are not the same: a whole epoch, each side in its own order, and what it is evaluated on after it */
  readonly epoch?: { readonly peerBatches: Batches; readonly evaluation: Batches }
}

/** Special tokens are not drawn. */
const firstWord = 5

/** Texts of one length: no padding anywhere. */
export const evenCase = (batchSize: number, length: number, vocabulary: number, kind: BenchmarkKind = 'encoder'): BenchmarkCase => {
  const u = uniforms(1, 'order', 0, batchSize * length)
  const id = (i: number): number => firstWord + Math.floor((vocabulary - firstWord) * (u[i] ?? 0))
  const batch = Array.from({ length: batchSize }, (_, row) => ({
    inputIds: Array.from({ length }, (__, column) => id(row * length + column)),
    label: row % 2,
  }))
  return { name: `${kind === 'encoder' ? '' : 'decoder-'}${batchSize}x${length}`, kind, dropout: 0, batches: [batch] }
}

/** Examples of MRPC in its two orders: batches of similar lengths as in salora, and random batches as in Hugging Face's Trainer. */
type Mrpc = { readonly similar: Batches; readonly random: Batches; readonly evaluation: Batches }

/** @throws InputError if `data` has no MRPC */
export const mrpcBatches = async (
  batchSize: number,
  data: string,
  { folder, model }: { readonly folder: string; readonly model: Model },
): Promise<Mrpc> => {
  const { train, evaluation } = await loadTask({ task: 'mrpc', data })
  const tokenizer = await loadTokenizer(folder, model)
  const tokenized = ({ examples }: Dataset): readonly BatchedExample[] =>
    examples.map(({ text, textPair, label }) => ({ inputIds: tokenizer.encode(text, textPair, 128).inputIds, label }))
  const examples = tokenized(train)
  const lengths = examples.map(({ inputIds }) => inputIds.length)
  const at = (rows: readonly number[]): readonly BatchedExample[] => rows.flatMap((row) => examples[row] ?? [])
  return {
    similar: batchesOfEpoch(0, 0, lengths, batchSize).map(at),
    random: inBatches([...permutation(0, 'order', 0, examples.length)], batchSize).map(at),
    evaluation: inBatches(tokenized(evaluation), batchSize),
  }
}

/** Steps on texts of MRPC at their own lengths, with dropout: of similar length together, then at random. */
export const mrpcCases = (batchSize: number, { similar, random }: Mrpc, count: number): readonly BenchmarkCase[] => [
  { name: `mrpc-${batchSize}`, kind: 'encoder', dropout: 0.1, batches: similar.slice(0, count) },
  { name: `mrpc-${batchSize}-random`, kind: 'encoder', dropout: 0.1, batches: random.slice(0, count) },
]

/** An epoch of MRPC and its evaluation, as each side would have it. */
export const mrpcEpoch = ({ similar, random, evaluation }: Mrpc): BenchmarkCase => ({
  name: 'mrpc-epoch',
  kind: 'encoder',
  dropout: 0.1,
  batches: similar,
  epoch: { peerBatches: random, evaluation },
})

export const tokensOf = (batch: readonly BatchedExample[]): number => batch.reduce((sum, { inputIds }) => sum + inputIds.length, 0)

/** What a benchmark against PEFT sets beside what, and the part of it that --only names. */
type Variant = { readonly method: string; readonly precision: string }

/** How PEFT runs: as it is, by torch.compile, or with the frozen matrices in torchao's int8. */
export const peerModes = ['eager', 'compile', 'torchao'] as const
export type PeerMode = (typeof peerModes)[number]

/** Ours, and PEFT's. */
export type Pairing = Variant & { readonly peer: Variant & { readonly mode: PeerMode } }

const eager: readonly (Variant & { readonly peer: Variant })[] = [
  { method: 'lora', precision: 'float32', peer: { method: 'lora', precision: 'float32' } },
  { method: 'lora', precision: 'int8', peer: { method: 'lora', precision: 'bfloat16' } },
  { method: 'salora', precision: 'float32', peer: { method: 'lora', precision: 'float32' } },
  { method: 'salora', precision: 'int8', peer: { method: 'lora', precision: 'bfloat16' } },
  { method: 'adalora', precision: 'float32', peer: { method: 'adalora', precision: 'float32' } },
  { method: 'adalora', precision: 'int8', peer: { method: 'adalora', precision: 'bfloat16' } },
  { method: 'full', precision: 'float32', peer: { method: 'full', precision: 'float32' } },
]

/** torchao's int8 has a gradient for LoRA only, so it meets ours in int8. */
const pairingsIn: { readonly [Mode in PeerMode]: readonly Pairing[] } = {
  eager: eager.map((pairing) => ({ ...pairing, peer: { ...pairing.peer, mode: 'eager' } })),
  compile: eager.map((pairing) => ({ ...pairing, peer: { ...pairing.peer, mode: 'compile' } })),
  torchao: ['lora', 'salora'].map((method) => ({
    method,
    precision: 'int8',
    peer: { method: 'lora', precision: 'int8', mode: 'torchao' },
  })),
}

/** Decoders run only the pairings of LoRA and SaLoRA. */
const isOf = ({ kind }: BenchmarkCase, { method }: Pairing): boolean => kind === 'encoder' || method === 'lora' || method === 'salora'

/**
 * The cases to run, each with its pairings. @param only names of cases, methods and precisions; null: all @param modes of the peer
 * @throws InputError for another name
 */
export const chosenCases = (
  cases: readonly BenchmarkCase[],
  only: readonly string[] | null,
  modes: readonly PeerMode[] = ['eager'],
): readonly { readonly benchmark: BenchmarkCase; readonly pairings: readonly Pairing[] }[] => {
  const pairings = modes.flatMap((mode) => pairingsIn[mode])
  const kinds = [cases.map(({ name }) => name), eager.map(({ method }) => method), eager.map(({ precision }) => precision)]
  const unknown = only?.find((name) => !kinds.some((names) => names.includes(name)))
  if (unknown !== undefined) throw inputError('--only', `some of ${[...new Set(kinds.flat())].join(', ')}`, quoted(unknown))
  /** A kind that --only does not name is not restricted. */
  const isSelected = (name: string): boolean => {
    const selected = kinds.find((names) => names.includes(name))?.filter((other) => only?.includes(other)) ?? []
    return selected.length === 0 || selected.includes(name)
  }
  return cases
    .filter(({ name, epoch }) => (epoch === undefined ? isSelected(name) : only?.includes(name)))
    .map((benchmark) => ({
      benchmark,
      pairings: pairings.filter((pairing) => isSelected(pairing.method) && isSelected(pairing.precision) && isOf(benchmark, pairing)),
    }))
}
