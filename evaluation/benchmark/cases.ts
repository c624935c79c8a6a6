/** What both sides of a benchmark train on: batches of token ids with their labels, the same for either; and which methods meet. */
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { permutation, uniforms } from '../../accelerated/parameters/random.js'
import { planEpoch, inBatches } from '../../accelerated/training/batchOrder.js'
import type { Dataset } from '../../finetuning/data/index.js'
import { loadTask } from '../../finetuning/tasks/loadTask.js'

export type BatchedExample = { readonly inputIds: readonly number[]; readonly label: number }
export type Batches = readonly (readonly BatchedExample[])[]

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
  const ids = Array.from(u, (drawn) => firstWord + Math.floor((vocabulary - firstWord) * drawn))
  const batch = inBatches(ids, length).map((inputIds, row) => ({ inputIds, label: row % 2 }))
  return { name: `${kind === 'encoder' ? '' : 'decoder-'}${batchSize}x${length}`, kind, dropout: 0, batches: [batch] }
}

/**
 * MRPC at its own lengths, with dropout: `count` steps on texts of similar length together, as in salora, the same on random batches, as in Hugging
 * Face's Trainer, and a whole epoch with its evaluation. @param folder of the model, whose tokenizer it has @throws InputError if `data` has no MRPC
 */
export const mrpcCases = async (data: string, folder: string, count: number): Promise<readonly BenchmarkCase[]> => {
  const { train, evaluation } = await loadTask({ task: 'mrpc', data })
  const tokenizer = await (await openModelFolder(folder)).tokenizer()
  const tokenized = ({ examples }: Dataset): readonly BatchedExample[] =>
    examples.map(({ text, textPair, label }) => ({ inputIds: tokenizer.encode(text, textPair, 128).inputIds, label }))
  const examples = tokenized(train)
  const lengths = examples.map(({ inputIds }) => inputIds.length)
  const order = [...permutation(0, 'order', 0, examples.length)]
  const prepareBatches = (rows: readonly (readonly number[])[]): Batches => rows.map((batch) => batch.flatMap((row) => examples[row] ?? []))
  const similar = (batchSize: number): Batches => prepareBatches(planEpoch(0, 0, lengths, batchSize))
  const random = (batchSize: number): Batches => prepareBatches(inBatches(order, batchSize))
  const mrpc = (name: string, batches: Batches) => ({ name: `mrpc-${name}`, kind: 'encoder', dropout: 0.1, batches }) as const
  return [
    ...[16, 32].flatMap((batchSize) => [
      mrpc(`${batchSize}`, similar(batchSize).slice(0, count)),
      mrpc(`${batchSize}-random`, random(batchSize).slice(0, count)),
    ]),
    { ...mrpc('epoch', similar(16)), epoch: { peerBatches: random(16), evaluation: inBatches(tokenized(evaluation), 16) } },
  ]
}

type Variant = { readonly method: string; readonly precision: string }

/** How PEFT runs: as it is, by torch.compile, or with the frozen matrices in torchao's int8. */
export const peerModes = ['eager', 'compile', 'torchao'] as const
export type PeerMode = (typeof peerModes)[number]

/** Ours, and PEFT's beside it. */
export type Pairing = Variant & { readonly peer: Variant & { readonly mode: PeerMode } }

/** PEFT's precision beside each of ours. */
const peerPrecisions: { readonly [Mode in PeerMode]: Readonly<Record<string, string>> } = {
  eager: { float32: 'float32', int8: 'bfloat16' },
  compile: { float32: 'float32', int8: 'bfloat16' },
  torchao: { int8: 'int8' },
}
const [methods, precisions] = [['lora', 'salora', 'adalora', 'full'], Object.keys(peerPrecisions.eager)]

const isOneOfTwo = ({ method }: Variant): boolean => method === 'lora' || method === 'salora'

/** torchao's int8 has a gradient for LoRA only; full fine-tuning has no frozen matrix. */
const pairingsIn = (mode: PeerMode): readonly Pairing[] =>
  methods
    .flatMap((method) =>
      Object.entries(peerPrecisions[mode]).map(([precision, theirs]): Pairing => {
        const peer = { method: method === 'salora' ? 'lora' : method, precision: theirs, mode }
        return { method, precision, peer }
      }),
    )
    .filter((pairing) => (mode !== 'torchao' || isOneOfTwo(pairing)) && (pairing.method !== 'full' || pairing.precision === 'float32'))

/**
 * The cases to run, each with its pairings. @param only names of cases, methods and precisions; null: all @param modes of the peer
 * @throws InputError for another name
 */
export const chosenCases = (
  cases: readonly BenchmarkCase[],
  only: readonly string[] | null,
  modes: readonly PeerMode[],
): readonly { readonly benchmark: BenchmarkCase; readonly pairings: readonly Pairing[] }[] => {
  const kinds = [cases.map(({ name }) => name), methods, precisions]
  const unknown = only?.find((name) => !kinds.flat().includes(name))
  if (unknown !== undefined) throw inputError('--only', `some of ${kinds.flat().join(', ')}`, quoted(unknown))
  /** A kind that --only does not name is not restricted. */
  const isSelected = (name: string): boolean => {
    const selected = kinds.find((names) => names.includes(name))?.filter((other) => only?.includes(other)) ?? []
    return selected.length === 0 || selected.includes(name)
  }
  const pairings = modes.flatMap(pairingsIn).filter(({ method, precision }) => isSelected(method) && isSelected(precision))
  return cases
    .filter(({ name, epoch }) => (epoch === undefined ? isSelected(name) : only?.includes(name)))
    .map((benchmark) => ({ benchmark, pairings: benchmark.kind === 'encoder' ? pairings : pairings.filter(isOneOfTwo) }))
}
