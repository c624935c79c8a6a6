/** What a benchmark against PEFT sets beside what, and the part of it that --only names. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { BenchmarkCase } from './cases.js'

type Variant = { readonly method: string; readonly precision: string }

/** How PEFT runs: as it is, by torch.compile, or with the frozen matrices in torchao's int8. */
export const peerModes = ['eager', 'compile', 'torchao'] as const
export type PeerMode = (typeof peerModes)[number]

/** Ours, and PEFT's. */
export type Pairing = Variant & { readonly peer: Variant & { readonly mode: PeerMode } }

const eager: ReadonlyArray<Variant & { readonly peer: Variant }> = [
  { method: 'lora', precision: 'float32', peer: { method: 'lora', precision: 'float32' } },
  { method: 'lora', precision: 'int8', peer: { method: 'lora', precision: 'bfloat16' } },
  { method: 'salora', precision: 'float32', peer: { method: 'lora', precision: 'float32' } },
  { method: 'salora', precision: 'int8', peer: { method: 'lora', precision: 'bfloat16' } },
  { method: 'adalora', precision: 'float32', peer: { method: 'adalora', precision: 'float32' } },
  { method: 'adalora', precision: 'int8', peer: { method: 'adalora', precision: 'bfloat16' } },
  { method: 'full', precision: 'float32', peer: { method: 'full', precision: 'float32' } },
]

/** torchao's int8 has a gradient for LoRA only, so it meets ours in int8. */
const pairingsIn: { readonly [Mode in PeerMode]: ReadonlyArray<Pairing> } = {
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
  cases: ReadonlyArray<BenchmarkCase>,
  only: ReadonlyArray<string> | null,
  modes: ReadonlyArray<PeerMode> = ['eager'],
): ReadonlyArray<{ readonly benchmark: BenchmarkCase; readonly pairings: ReadonlyArray<Pairing> }> => {
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
