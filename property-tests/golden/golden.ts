/** The fixtures of make_golden.py: small checkpoints, and the numbers of PyTorch and PEFT for them. Tests read these files and need no Python. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { elementCount, parseHeader } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import type { LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { compare, describeRow, findWorst, type Numbers, type Row } from '../../evaluation/agreement/rows.js'

/** A folder of fixtures: a model_type, or one with a word for the difference. */
export type Family = 'roberta' | 'bert' | (typeof furtherFamilies)[number]
/** Those with fixtures of every method. */
export const families = ['roberta', 'bert'] as const
/** Encoders with fixtures of LoRA, and of what else their libraries have for them: `familiesOf`. */
export const furtherFamilies = ['distilbert', 'electra', 'modernbert', 'mpnet', 'xlm-roberta', 'deberta-v2', 'deberta-v2-plain'] as const
export const dtypes: readonly FloatType[] = ['float64', 'float32']

/** Shares of a tensor's largest number. In float64 rounding leaves 1e-12 after 20 steps, in float32 1e-6; a wrong formula leaves 1e-3 or more. */
export const goldenBounds: Readonly<Record<FloatType, number>> = { float64: 1e-9, float32: 1e-5 }

export const fixtures = join(import.meta.dirname, 'fixtures')
export const folderOf = (family: Family): string => join(fixtures, family)

export type GoldenBatch = {
  readonly texts: readonly (readonly [string, string?])[]
  readonly inputIds: readonly (readonly number[])[]
  readonly tokenTypeIds: readonly (readonly number[])[]
  readonly labels: readonly number[]
}

type Logits = readonly (readonly number[])[]

/** Of one gated step. */
export type GoldenGated = {
  readonly settings: Readonly<Record<'tau' | 'gamma' | 'zeta' | 'beta' | 'targetDensity' | 'lambda', number>>
  readonly loss: number
  readonly taskLoss: number
  readonly orthogonality: number
  readonly density: number
  readonly gates: readonly number[]
}

export type Golden = {
  readonly lora: Readonly<Record<'rank' | 'alpha' | 'steps' | 'learningRate' | 'weightDecay', number>>
  readonly batches: readonly GoldenBatch[]
  readonly peftAdapter: { readonly logits: Logits }
} & Readonly<
  Record<
    FloatType,
    { readonly logits: Logits; readonly losses: readonly number[]; readonly finalLogits: Logits; readonly gated?: GoldenGated }
  >
>

/** Decoders with fixtures. */
export const decoderFamilies = [
  'llama',
  'mistral',
  'qwen2',
  'qwen3',
  'gemma',
  'gemma2',
  'gemma3',
  'granite',
  'ministral',
  'olmo2',
  'smollm3',
  'gpt2',
  'phi3',
  'opt',
] as const
/** Decoders whose adapters their library opened. */
export type Decoder = 'qwen3' | 'gemma2' | 'gemma3' | 'gpt2' | 'phi3' | 'opt'

export const readGolden = (family: Family | Decoder): Golden =>
  JSON.parse(readFileSync(join(fixtures, family, 'golden.json'), 'utf8')) as Golden

/** Methods beside plain LoRA, each in its own folder within the family's. */
export const methods = [
  'full',
  'adalora',
  'rslora',
  'dora',
  'lora-plus',
  'lora-dropout',
  'all-linear',
  'prefix',
  'prompt',
  'ia3',
  'houlsby',
  'pfeiffer',
] as const
export type Method = (typeof methods)[number]
export const methodFolder = (family: Family, method: Method): string => join(folderOf(family), method)

/** Those with fixtures of a method. */
export const familiesOf = (method: Method): readonly Family[] => [
  ...families,
  ...furtherFamilies.filter((family) => existsSync(methodFolder(family, method))),
]

/** A library's numbers of one method, on the family's checkpoint and batches. */
export type MethodGolden = {
  /** The method's own, and those of AdamW. */
  readonly settings: Readonly<Record<string, number>> & Readonly<Record<'steps' | 'learningRate' | 'weightDecay', number>>
  readonly batches: readonly GoldenBatch[]
  /** By folder within the method's: what the library says of all texts when it opens again what it saved. */
  readonly saved: Readonly<Record<string, Logits>>
} & Readonly<
  Record<
    FloatType,
    {
      readonly logits: Logits
      /** Of every batch at the start, without dropout. */
      readonly evaluation: readonly { readonly logits: Logits; readonly loss: number }[]
      readonly losses: readonly number[]
      readonly finalLogits: Logits
    }
  >
>

/** @typeParam More: what a method's fixture holds besides */
export const readMethod = <More = unknown>(family: Family, method: Method): MethodGolden & More => ({
  ...(JSON.parse(readFileSync(join(methodFolder(family, method), 'golden.json'), 'utf8')) as Omit<MethodGolden, 'batches'> & More),
  batches: readGolden(family).batches,
})

export type GoldenTensor = { readonly shape: readonly number[]; readonly data: Float64Array }

/** All tensors of plain LoRA or of a method. */
export const readTensors = (family: Family, method?: Method): ReadonlyMap<string, GoldenTensor> =>
  tensorsIn(join(method === undefined ? folderOf(family) : methodFolder(family, method), 'golden.safetensors'))

/** All tensors of a file as they are: the library's own reader rounds F64 to float32. */
export const tensorsIn = (file: string): ReadonlyMap<string, GoldenTensor> => {
  const bytes = readFileSync(file)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const { tensors } = parseHeader(bytes.toString('utf8', 8, start), file, start, bytes.length - start)
  return new Map(
    [...tensors].map(([name, { dtype, shape, offset }]) => [
      name,
      {
        shape,
        data: Float64Array.from({ length: elementCount(shape) }, (_, i) =>
          dtype === 'F64' ? bytes.readDoubleLE(offset + 8 * i) : bytes.readFloatLE(offset + 4 * i),
        ),
      },
    ]),
  )
}

/** Those under a prefix, by the rest of their names. */
export const under = (tensors: ReadonlyMap<string, GoldenTensor>, prefix: string): ReadonlyMap<string, GoldenTensor> =>
  new Map([...tensors].filter(([name]) => name.startsWith(prefix)).map(([name, tensor]) => [name.slice(prefix.length), tensor]))

export const examplesOf = ({ inputIds, tokenTypeIds, labels }: GoldenBatch): readonly LabeledExample[] =>
  inputIds.map((ids, i) => ({ inputIds: ids, tokenTypeIds: tokenTypeIds[i], label: labels[i] ?? NaN, row: i + 1 }))

/** Rows of every tensor under a prefix against ours by name; a tensor that either side lacks is infinitely far off. */
export const compareTensors = (
  quantity: string,
  bound: number,
  golden: ReadonlyMap<string, GoldenTensor>,
  ours: ReadonlyMap<string, Numbers>,
): readonly Row[] =>
  [...new Set([...golden.keys(), ...ours.keys()])].map((name) =>
    compare('values', bound)(`${quantity} of ${name}`, golden.get(name)?.data ?? [NaN], ours.get(name) ?? []),
  )

export const compareNumbers = (quantity: string, bound: number, golden: Numbers, ours: Numbers): Row =>
  compare('values', bound)(quantity, golden, ours)

/** Every row within its bound. GOLDEN_TABLE=1 prints the largest difference of each quantity. */
export const expectAgreement = (title: string, rows: readonly Row[]): void => {
  if (process.env['GOLDEN_TABLE'] !== undefined) {
    for (const { quantity, difference, bound } of findWorst(rows))
      console.log(`${title} | ${quantity} | ${difference.toExponential(1)} | ${bound}`)
  }
  expect(rows.length).toBeGreaterThan(0)
  expect(rows.filter(({ holds }) => !holds).map(describeRow)).toEqual([])
}
