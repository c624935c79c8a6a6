/** Everything that the outputs of a style transfer depend on: a folder of transfers is of one of these. */
import { createHash } from 'node:crypto'
import { fileSha256 } from '../../accelerated/storage/sha256.js'
import { adapterFiles } from '../../finetuning/runs/runFingerprint.js'
import type { TransferData } from './transferData.js'
import type { TransferSource, StyleTransferOptions } from './contract.js'

/** Everything that the outputs depend on. */
export const configOf = async (
  { source, dataset }: StyleTransferOptions,
  { directions }: TransferData,
): Promise<Readonly<Record<string, string>>> => ({
  dataset: dataset.name,
  sentences: createHash('sha256')
    .update(JSON.stringify(directions.map(({ sources }) => sources)))
    .digest('hex'),
  ...('files' in source ? await filesConfig(source) : await decoderConfig(source)),
})

type Decoder = Extract<TransferSource, { readonly generator: object }>
type Files = Extract<TransferSource, { readonly files: object }>

const filesConfig = async ({ files, normalize }: Files): Promise<Readonly<Record<string, string>>> => ({
  outputs: `${await fileSha256(files[0])} ${await fileSha256(files[1])}`,
  form: normalize ? 'normalized' : 'as it is',
})

const decoderConfig = async ({ generator, template, generation }: Decoder): Promise<Readonly<Record<string, string>>> => ({
  model: generator.model,
  ...(generator.adapter == null ? { adapter: 'none' } : await adapterFiles(generator.adapter)),
  precision: generator.precision ?? 'float32',
  template,
  generation: JSON.stringify(Object.fromEntries(Object.entries(generation).sort())),
})
