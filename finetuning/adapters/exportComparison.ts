/** Compares an export, read back from disk, with its model and adapter: logits on the same texts, in float32 on the CPU. */
import { join } from 'node:path'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import type { Feed } from '../../accelerated/engines/feeds.js'
import { openModelFile } from '../../accelerated/engines/onnxRuntimeNode.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { onnxFiles } from '../../accelerated/formats/exportOnnx.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { OnnxPrecision } from '../../accelerated/formats/onnxWeights.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import type { ExportFormat } from './exportFormats.js'
import { nextTokenLogits, nextTokenLogitsOfOnnx } from './nextTokenLogits.js'
import { openEncoder, type Text } from './openModel.js'
import { openWordEncoder, type EncodedText } from './reader.js'
import { openPredictions } from './trainedAdapter.js'
import { loadTrainedModel, type TrainedModel, type TrainedModelOptions } from './trainedModel.js'

/** Unequal lengths test padding, a pair tests token types, and a text has special tokens. */
export const trialTexts: ReadonlyArray<Text> = [
  { text: 'The food was superb.' },
  { text: 'No.' },
  { text: 'A film that is long, loud and, in the end, about nothing at all; I left before it was over and do not regret it.' },
  { text: 'Two sequels later,', textPair: 'the story still holds.' },
  { text: '3.5 of 5 stars' },
  { text: 'Somebody typed <pad> and [PAD], <mask> and [MASK] here.' },
]

/** The longest texts of a task: they show a length at which one side truncates and the other does not. */
export const longestTexts = (texts: ReadonlyArray<Text>): ReadonlyArray<Text> => {
  const length = ({ text, textPair = '' }: Text): number => text.length + textPair.length
  return [...texts].sort((a, b) => length(b) - length(a)).slice(0, 4)
}

/** The texts that an export is compared on. Models of tokens and of embeddings read no text beside another. */
export const comparedTexts = ({ head }: ModelOutputs, texts: ReadonlyArray<Text>): ReadonlyArray<Text> => {
  const all = [...trialTexts, ...longestTexts(texts)]
  return head === 'token' || head === 'embedding' ? all.map(({ text }) => ({ text })) : all
}

export type Comparison = { readonly texts: number; readonly largestLogitDifference: number; readonly largestLogit: number }

export type Exported = {
  readonly folder: string
  readonly format: ExportFormat
  readonly precision: OnnxPrecision
}

/** @param options how the trained model was opened @throws InputError if an output is not finite */
export const compareExport = async (
  trained: TrainedModel,
  exported: Exported,
  texts: ReadonlyArray<Text>,
  options: TrainedModelOptions & { readonly maxLength: number | null },
): Promise<Comparison> => {
  const before = await logitsOf(trained, texts, options.maxLength)
  const after = await logitsOfExport(exported, trained, texts, options)
  const broken = [...before, ...after].find((x) => !Number.isFinite(x))
  if (broken !== undefined)
    throw inputError(options.adapter ?? options.model, 'finite outputs of model, adapter and export', String(broken))
  return {
    texts: texts.length,
    largestLogitDifference: largest(before.map((x, i) => x - (after[i] ?? NaN))),
    largestLogit: largest(before),
  }
}

/** NaN if one value is NaN: it must not hide behind the others. */
const largest = (values: ReadonlyArray<number>): number =>
  values.reduce((most, x) => (Number.isNaN(x) ? NaN : Math.max(most, Math.abs(x))), 0)

/** All logits of the texts; of a decoder those of each text's next token. */
const logitsOf = async (trained: TrainedModel, texts: ReadonlyArray<Text>, maxLength: number | null): Promise<ReadonlyArray<number>> => {
  if (trained.adapter.outputs.head === 'causal') return nextTokenLogits(trained, texts)
  const opened = await openPredictions(trained, { precision: 'float32', threads: 0, batchSize: texts.length, maxLength }, deviceOf('cpu'))
  try {
    return (await opened.predict(texts)).flat()
  } finally {
    await opened.release()
  }
}

const logitsOfExport = async (
  { folder, format, precision }: Exported,
  trained: TrainedModel,
  texts: ReadonlyArray<Text>,
  options: TrainedModelOptions & { readonly maxLength: number | null },
): Promise<ReadonlyArray<number>> => {
  if (format !== 'merged' && format !== 'transformers.js')
    return logitsOf(await loadTrainedModel({ ...options, adapter: folder }), texts, options.maxLength)
  const maxLength = await modelMaxLength(folder) // a tool that knows only the folder truncates here
  if (format === 'merged') return logitsOf(await loadTrainedModel({ model: folder, adapter: null }), texts, maxLength)
  const onnx = onnxFiles(precision)
  const file = join(folder, onnx.folder, onnx.model)
  return trained.adapter.outputs.head === 'causal'
    ? nextTokenLogitsOfOnnx(file, trained, texts)
    : logitsOfOnnx(file, trained, texts, maxLength)
}

const modelMaxLength = async (folder: string): Promise<number> => {
  const file = join(folder, 'tokenizer_config.json')
  return (parseJson(await readText(file), file) as { readonly model_max_length: number }).model_max_length
}

const logitsOfOnnx = async (
  file: string,
  trained: TrainedModel,
  texts: ReadonlyArray<Text>,
  maxLength: number,
): Promise<ReadonlyArray<number>> => {
  const { head, labels } = trained.adapter.outputs
  const encodings: ReadonlyArray<EncodedText> = texts.map(await (head === 'token' ? openWordEncoder : openEncoder)(trained, maxLength))
  const sequence = Math.max(...encodings.map(({ inputIds }) => inputIds.length))
  const padded = (rows: ReadonlyArray<ReadonlyArray<number>>, padding: number): Feed => ({
    shape: [rows.length, sequence],
    data: BigInt64Array.from(rows.flatMap((row) => Array.from({ length: sequence }, (_, i) => BigInt(row[i] ?? padding)))),
  })
  const inputIds = encodings.map((encoding) => encoding.inputIds)
  const session = await openModelFile(file, { threads: 0 })
  try {
    const { logits, last_hidden_state: hidden } = await session.run({
      input_ids: padded(inputIds, trained.adapter.model.paddingIndex),
      attention_mask: padded(
        inputIds.map((ids) => ids.map(() => 1)),
        0,
      ),
      token_type_ids: padded(
        encodings.map(({ tokenTypeIds }) => tokenTypeIds),
        0,
      ),
    })
    const numbers = Array.from(logits ?? hidden ?? [], Number)
    if (head === 'embedding') return embeddingsOf(numbers, encodings, sequence, trained.adapter.model.spec.hiddenSize)
    return head === 'token' ? ofWords(numbers, encodings, sequence, labels) : numbers
  } finally {
    await session.release()
  }
}

/** The logits of words among those of all slots: [texts · sequence · labels] → [words · labels] */
const ofWords = (
  logits: ReadonlyArray<number>,
  encodings: ReadonlyArray<EncodedText>,
  sequence: number,
  labels: number,
): ReadonlyArray<number> =>
  encodings.flatMap(({ places = [] }, text) =>
    places.flatMap((place) => logits.slice((text * sequence + place) * labels, (text * sequence + place + 1) * labels)),
  )

/** The mean of each text's hidden states, at length 1: [texts · sequence · width] → [texts · width] */
const embeddingsOf = (
  hidden: ReadonlyArray<number>,
  encodings: ReadonlyArray<EncodedText>,
  sequence: number,
  width: number,
): ReadonlyArray<number> =>
  encodings.flatMap(({ inputIds: { length } }, text) => {
    const sums = Array.from({ length: width }, (_, j) => {
      let sum = 0
      for (let i = 0; i < length; i++) sum += hidden[(text * sequence + i) * width + j] ?? NaN
      return sum
    })
    const norm = Math.hypot(...sums)
    return sums.map((sum) => sum / norm)
  })
