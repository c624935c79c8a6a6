/** The small files of an exported model folder: config.json of a sequence classifier, and the base model's tokenizer. */
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../storage/atomicFile.js'
import { inputError, reason } from '../errors/inputError.js'
import { parseJson, readText } from '../storage/boundedJson.js'
import { fileInFolder } from '../storage/fileInFolder.js'
import type { Model } from '../models/architecture.js'
import type { ModelOutputs, SequenceOutputs } from '../models/modelOutputs.js'
import { availablePositions } from '../training/runLength.js'
import type { Adapter } from './adapter.js'

export type WrittenPrecision = 'float32' | 'float16'

/** What a copy of config.json must not keep: it was true of the base model's file only. */
const ofTheBase = ['_name_or_path', 'num_labels', 'dtype', 'quantization_config', 'transformers.js_config', 'auto_map']

/** The names of the outputs, `LABEL_0` and so on where there are none, as other tools have it. */
export const labelsOf = ({ labels }: ModelOutputs, names: ReadonlyArray<string> | undefined): ReadonlyArray<string> =>
  Array.from({ length: labels }, (_, i) => names?.[i] ?? `LABEL_${i}`)

/** Writes config.json: the base model's, with the head's architecture, its classes where it has some, and dtype. `more` is added as it is. */
export const writeModelConfig = async (
  folder: string,
  base: string,
  { model, outputs }: { readonly model: Model; readonly outputs: ModelOutputs },
  labelNames: ReadonlyArray<string> | undefined,
  precision: WrittenPrecision,
  more: object = {},
): Promise<void> => {
  const file = join(base, 'config.json')
  const given = Object.entries(parseJson(await readText(file), file) as object).filter(([key]) => !ofTheBase.includes(key))
  await writeFileAtomically(
    join(folder, 'config.json'),
    jsonText({
      ...Object.fromEntries(given),
      ...(outputs.head === 'causal' ? { architectures: [model.naming.causal] } : classifierConfig(model, outputs, labelNames)),
      torch_dtype: precision,
      ...more,
    }),
  )
}

const classifierConfig = (model: Model, outputs: SequenceOutputs, labelNames: ReadonlyArray<string> | undefined): object => {
  const labels = labelsOf(outputs, labelNames)
  return {
    architectures: [model.naming.sequenceClassifier],
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    problem_type: outputs.problemType,
    ...(model.pooling === 'last' ? { pad_token_id: model.paddingIndex } : {}), // by which other tools find the last token
  }
}

/** What a decoder's folder says of how it writes and converses. */
const decoderFiles = ['generation_config.json', 'chat_template.jinja']

const tokenizerFiles = ['tokenizer.json', 'special_tokens_map.json', 'added_tokens.json', 'vocab.json', 'merges.txt', 'vocab.txt']

/**
 * Copies the tokenizer. Its settings name a class, a padding token and a longest input even where the base model's do not (the original
 * BERT's and RoBERTa's do not): without them other tools guess, or cannot pad a batch.
 * @param maxLength tokens of a text, as the adapter was trained with; null: as many as the model has positions, less virtual ones
 * @param more settings where the base model's have none
 */
export const writeTokenizer = async (
  folder: string,
  base: string,
  adapter: Pick<Adapter, 'model' | 'method' | 'settings'>,
  maxLength: number | null = null,
  more: object = {},
): Promise<void> => {
  const { model } = adapter
  const { left } = availablePositions(adapter.method, adapter.settings, model)
  for (const name of [...tokenizerFiles, ...(model.spec.kind === 'decoder' ? decoderFiles : [])]) {
    const file = await fileInFolder(base, name)
    if (file !== undefined)
      await copyFile(file, join(folder, name)).catch((thrown: unknown) => {
        throw inputError(join(folder, name), 'to write the file', reason(thrown))
      })
  }
  const file = await fileInFolder(base, 'tokenizer_config.json')
  const settings = (file === undefined ? {} : parseJson(await readText(file), file)) as { readonly model_max_length?: unknown }
  const given = typeof settings.model_max_length === 'number' ? settings.model_max_length : Infinity
  await writeFileAtomically(
    join(folder, 'tokenizer_config.json'),
    jsonText({
      ...(await paddingToken(base, model)),
      tokenizer_class: model.naming.tokenizer,
      ...more,
      ...settings,
      model_max_length: Math.min(maxLength ?? given, left),
    }),
  )
}

/** The token whose id is the padding index, where tokenizer.json has it. */
const paddingToken = async (base: string, { paddingIndex }: Model): Promise<{ readonly pad_token?: string }> => {
  const file = join(base, 'tokenizer.json')
  const { added_tokens: added = [], model } = parseJson(await readText(file), file) as TokenizerJson
  const vocab = model?.vocab ?? {}
  const inModel = Array.isArray(vocab) ? vocab[paddingIndex]?.[0] : Object.entries(vocab).find(([, id]) => id === paddingIndex)?.[0]
  const token = added.find(({ id }) => id === paddingIndex)?.content ?? inModel
  return token === undefined ? {} : { pad_token: token }
}

type TokenizerJson = {
  readonly added_tokens?: ReadonlyArray<{ readonly id: number; readonly content: string }>
  readonly model?: { readonly vocab?: Readonly<Record<string, number>> | Array<readonly [string, number]> }
}

const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
