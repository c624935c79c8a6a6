/** Compares an export, read back from disk, with its model and adapter on the CPU: logits of the same texts, scores on the same rows. */
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { convertWeights } from '../../accelerated/checkpoints/gguf/convertModel.js'
import { readGguf, ggufModelFiles } from '../../accelerated/checkpoints/gguf/ggufHeader.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import type { Feed } from '../../accelerated/engines/feeds.js'
import { openModelFile } from '../../accelerated/engines/onnxRuntimeNode.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { adapterFile } from '../../accelerated/formats/adapterInputs.js'
import { adapterFiles } from '../../accelerated/formats/peft/peft.js'
import { readSafetensors } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { onnxFiles } from '../../accelerated/formats/exportOnnx.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { OnnxPrecision } from '../../accelerated/formats/onnxWeights.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { ScoreComparison } from '../run/cardBody.js'
import type { Scores } from '../run/run.js'
import type { Evaluation } from '../tasks/index.js'
import type { ExportFormat } from './exportFormats.js'
import { resolveMaxLength, type OnProgress, openReading, openPredictions, openTextDecoder } from './modelSessions.js'
import type { EncodedText, Text } from '../tasks/taskType.js'
import { scoreAdapter } from './scoreAdapter.js'
import { type TrainedAdapter, loadTextModel, loadTrainedModel, type TrainedModel, type TrainedModelOptions } from './openModel.js'
import { cacheNames } from '../../accelerated/formats/cachedInference.js'
import { parts } from '../../accelerated/generation/graph.js'
import { availablePositions } from '../../accelerated/training/runLength.js'
import { promptTokens } from '../tasks/texts/prompts.js'

/** Unequal lengths test padding, a pair tests token types, and a text has special tokens. */
export const trialTexts: readonly Text[] = [
  { text: 'The food was superb.' },
  { text: 'No.' },
  { text: 'A film that is long, loud and, in the end, about nothing at all; I left before it was over and do not regret it.' },
  { text: 'Two sequels later,', textPair: 'the story still holds.' },
  { text: '3.5 of 5 stars' },
  { text: 'Somebody typed <pad> and [PAD], <mask> and [MASK] here.' },
]

/** The longest texts of a task: they show a length at which one side truncates and the other does not. */
export const longestTexts = (texts: readonly Text[]): readonly Text[] => {
  const length = ({ text, textPair = '' }: Text): number => text.length + textPair.length
  return [...texts].sort((a, b) => length(b) - length(a)).slice(0, 4)
}

/** The texts that an export is compared on. Models of tokens and of embeddings read no text beside another. */
export const comparedTexts = ({ head }: ModelOutputs, texts: readonly Text[]): readonly Text[] => {
  const all = [...trialTexts, ...longestTexts(texts)]
  return head === 'token' || head === 'embedding' ? all.map(({ text }) => ({ text })) : all
}

export type Comparison = { readonly texts: number; readonly largestLogitDifference: number; readonly largestLogit: number }

export type Exported = {
  readonly folder: string
  readonly format: ExportFormat
  readonly precision: OnnxPrecision
  /** inputs of an ONNX graph beside the texts: the adapter of a base that has none */
  readonly inputs: Readonly<Record<string, Feed>>
}

/** @param options how the trained model was opened @throws InputError if an output is not finite */
export const compareExport = async (
  trained: TrainedModel,
  exported: Exported,
  texts: readonly Text[],
  options: TrainedModelOptions & { readonly maxLength: number | null },
): Promise<Comparison> => {
  const before = await computeLogits(trained, texts, options.maxLength)
  const after = await exportLogits(exported, trained, texts, options)
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
const largest = (values: readonly number[]): number => values.reduce((most, x) => (Number.isNaN(x) ? NaN : Math.max(most, Math.abs(x))), 0)

/** All logits of the texts; of a decoder those of each text's next token. */
const computeLogits = async (trained: TrainedModel, texts: readonly Text[], maxLength: number | null): Promise<readonly number[]> => {
  if (trained.adapter.outputs.head === 'causal') return nextTokenLogits(trained, texts)
  const opened = await openPredictions(trained, { precision: 'float32', threads: 0, batchSize: texts.length, maxLength }, findDevice('cpu'))
  try {
    return (await opened.predict(texts)).flat()
  } finally {
    await opened.release()
  }
}

const exportLogits = async (
  { folder, format, precision, inputs }: Exported,
  trained: TrainedModel,
  texts: readonly Text[],
  options: TrainedModelOptions & { readonly maxLength: number | null },
): Promise<readonly number[]> => {
  if (format === 'gguf-merged') return ggufLogits(folder, trained, texts)
  if (format === 'peft-file') return computeLogits(await openAdapterFile(folder, options), texts, options.maxLength)
  if (format !== 'merged' && format !== 'transformers.js')
    return computeLogits(await loadTrainedModel({ ...options, adapter: folder }), texts, options.maxLength)
  const maxLength = await modelMaxLength(folder) // a tool that knows only the folder truncates here
  if (format === 'merged') return computeLogits(await loadTrainedModel({ model: folder, adapter: null }), texts, maxLength)
  const onnx = onnxFiles(precision)
  const file = join(folder, onnx.folder, onnx.model)
  return trained.adapter.outputs.head === 'causal'
    ? onnxNextTokenLogits(file, trained, texts, inputs)
    : (await onnxAnswers({ file, inputs }, trained, texts, maxLength)).flat()
}

/** The file's texts become PEFT's files beside it, for as long as they are read. */
const openAdapterFile = async (folder: string, options: TrainedModelOptions): Promise<TrainedModel> => {
  const [file, unpacked] = [join(folder, adapterFile), join(folder, 'unpacked')]
  await mkdir(unpacked)
  try {
    const { metadata } = await readSafetensors(file)
    for (const name of [adapterFiles.config, adapterFiles.names]) await writeFile(join(unpacked, name), metadata[name] ?? '')
    await copyFile(file, join(unpacked, adapterFiles.weights))
    return await loadTrainedModel({ ...options, adapter: unpacked })
  } finally {
    await rm(unpacked, { recursive: true, force: true })
  }
}

/** Converts the weights back, beside them, for as long as they are read. */
const ggufLogits = async (folder: string, trained: TrainedModel, texts: readonly Text[]): Promise<readonly number[]> => {
  const [file, converted] = [join(folder, ggufModelFiles.model), join(folder, 'converted')]
  await mkdir(converted)
  try {
    const config = join(trained.base.folder, 'config.json')
    const text = await readText(config, undefined, trained.base.storage)
    await writeFile(join(converted, 'config.json'), text)
    const target = { path: join(converted, 'model.safetensors'), storage: nodeFiles }
    await convertWeights(await readGguf(file), parseConfigFile(text, config).model, file, target, nodeFiles)
    return await nextTokenLogits(await loadTextModel({ model: converted, adapter: null }), texts, trained)
  } finally {
    await rm(converted, { recursive: true, force: true })
  }
}

/** Rows that both are scored on; of more, every n-th. */
const scoredRows = 1_000

/** null where an export's answers cannot be scored one text at a time: a decoder's, and embeddings. @throws InputError if the data does not fit */
export const compareScores = async (
  trained: TrainedModel,
  { folder, precision, inputs }: Omit<Exported, 'format'>,
  labeled: Evaluation,
  { maxLength }: { readonly maxLength: number | null },
  onProgress?: (done: number, total: number) => void,
): Promise<ScoreComparison | null> => {
  const { outputs } = trained.adapter
  if (outputs.head === 'causal' || outputs.head === 'embedding') return null
  const all = labeled.evaluation.examples
  const every = Math.ceil(all.length / scoredRows)
  const examples = all.filter((_, i) => i % every === 0)
  const taken: Evaluation = { ...labeled, evaluation: { ...labeled.evaluation, examples } }
  const onnx = onnxFiles(precision)
  const opened = await openPredictions(trained, { precision: 'float32', threads: 0, batchSize, maxLength }, findDevice('cpu'))
  try {
    const { called, labelNames } = opened
    const score = async (predict: TrainedAdapter['predict'], done: number): Promise<Scores> =>
      (
        await scoreAdapter({ ...{ called: called ?? 'adapter', labelNames, outputs }, predict }, taken, {
          onProgress: (n) => onProgress?.(done + n, 2 * examples.length),
        })
      ).scores
    const before = await score(opened.predict, 0)
    const file = join(folder, onnx.folder, onnx.model)
    const ofExport: TrainedAdapter['predict'] = async (texts, report) =>
      onnxAnswers({ file, inputs }, trained, texts, await modelMaxLength(folder), report)
    const after = await score(ofExport, examples.length)
    return { rows: examples.length, ofRows: all.length, source: labeled.evaluation.source, before, after }
  } finally {
    await opened.release()
  }
}

const modelMaxLength = async (folder: string): Promise<number> => {
  const file = join(folder, 'tokenizer_config.json')
  return (parseJson(await readText(file), file) as { readonly model_max_length: number }).model_max_length
}

/** Texts that an ONNX file reads at once. */
const batchSize = 32

/** The answer to each text of an ONNX file that paddedInference wrote: logits, those of each word one after another, or a vector. */
const onnxAnswers = async (
  { file, inputs }: Pick<Exported, 'inputs'> & { readonly file: string },
  trained: TrainedModel,
  texts: readonly Text[],
  maxLength: number,
  onProgress?: OnProgress,
): Promise<readonly (readonly number[])[]> => {
  const { encode } = await openReading(trained, resolveMaxLength(trained, maxLength))
  const session = await openModelFile(file, { threads: 0 })
  const answers: (readonly number[])[] = []
  try {
    for (let start = 0; start < texts.length; start += batchSize) {
      answers.push(...(await answerBatch(session, inputs, trained, texts.slice(start, start + batchSize).map(encode))))
      onProgress?.(answers.length)
    }
    return answers
  } finally {
    await session.release()
  }
}

type ModelSession = Awaited<ReturnType<typeof openModelFile>>

const answerBatch = async (
  session: ModelSession,
  inputs: Exported['inputs'],
  { adapter: { outputs, model } }: TrainedModel,
  encodings: readonly EncodedText[],
): Promise<readonly (readonly number[])[]> => {
  const { head, labels } = outputs
  const sequence = Math.max(...encodings.map(({ inputIds }) => inputIds.length))
  const padded = (rows: readonly (readonly number[])[], padding: number): Feed => ({
    shape: [rows.length, sequence],
    data: BigInt64Array.from(rows.flatMap((row) => Array.from({ length: sequence }, (_, i) => BigInt(row[i] ?? padding)))),
  })
  const inputIds = encodings.map((encoding) => encoding.inputIds)
  const { logits, last_hidden_state: hidden } = await session.run({
    ...inputs,
    input_ids: padded(inputIds, model.paddingIndex),
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
  if (head === 'embedding') return meanEmbeddings(numbers, encodings, sequence, model.spec.hiddenSize)
  return head === 'token'
    ? ofWords(numbers, encodings, sequence, labels)
    : encodings.map((_, i) => numbers.slice(i * labels, (i + 1) * labels))
}

/** The logits of words among those of all slots: [texts · sequence · labels] → [texts][words · labels] */
const ofWords = (
  logits: readonly number[],
  encodings: readonly EncodedText[],
  sequence: number,
  labels: number,
): readonly (readonly number[])[] =>
  encodings.map(({ places = [] }, text) =>
    places.flatMap((place) => logits.slice((text * sequence + place) * labels, (text * sequence + place + 1) * labels)),
  )

/** The mean of each text's hidden states, at length 1: [texts · sequence · width] → [texts][width] */
const meanEmbeddings = (
  hidden: readonly number[],
  encodings: readonly EncodedText[],
  sequence: number,
  width: number,
): readonly (readonly number[])[] =>
  encodings.map(({ inputIds: { length } }, text) => {
    const sums = Array.from({ length: width }, (_, j) => {
      let sum = 0
      for (let i = 0; i < length; i++) sum += hidden[(text * sequence + i) * width + j] ?? NaN
      return sum
    })
    const norm = Math.hypot(...sums)
    return sums.map((sum) => sum / norm)
  })

/** Next-token logits of a decoder and of its ONNX export, to compare them. */

/** Next-token logits of each text, concatenated: [texts · vocabulary]. @param tokenizing the model whose tokenizer reads the texts */
export const nextTokenLogits = async (trained: TrainedModel, texts: readonly Text[], tokenizing = trained): Promise<readonly number[]> => {
  const prompts = await tokenizePrompts(tokenizing, texts)
  const decoder = await openTextDecoder(trained, { precision: 'float32', threads: 0 }, findDevice('cpu'))
  try {
    return (await decoder.begin(prompts)).logits().flatMap((row) => Array.from(row))
  } finally {
    await decoder.release()
  }
}

/** Tokens of each text: an export returns [tokens, vocabulary] logits, which are large. */
const longestPrompt = 64

const tokenizePrompts = async (
  { base: { folder, model, tokenizer }, adapter: { method, settings } }: TrainedModel,
  texts: readonly Text[],
): Promise<readonly (readonly number[])[]> => {
  const tokenizePrompt = await promptTokens(folder, await tokenizer())
  return texts.map(({ text }) =>
    tokenizePrompt({ text }).slice(0, Math.min(longestPrompt, availablePositions(method, settings, model).left)),
  )
}

/** The same from an ONNX file that cachedInference wrote, with an empty cache and texts padded on the left. */
export const onnxNextTokenLogits = async (
  file: string,
  trained: TrainedModel,
  texts: readonly Text[],
  inputs: Exported['inputs'],
): Promise<readonly number[]> => {
  const prompts = await tokenizePrompts(trained, texts)
  const { vocabularySize, spec } = trained.adapter.model
  const sequence = Math.max(...prompts.map(({ length }) => length))
  const padded = (value: (ids: readonly number[], position: number) => number): Feed => ({
    shape: [prompts.length, sequence],
    data: BigInt64Array.from(
      prompts.flatMap((ids) => Array.from({ length: sequence }, (_, i) => BigInt(value(ids, i - sequence + ids.length)))),
    ),
  })
  const session = await openModelFile(file, { threads: 0 })
  try {
    const { logits } = await session.run({
      ...inputs,
      input_ids: padded((ids, position) => ids[position] ?? 0),
      attention_mask: padded((_, position) => (position < 0 ? 0 : 1)),
      position_ids: padded((_, position) => Math.max(0, position)),
      ...Object.fromEntries(
        spec.layers.flatMap(({ heads, headSize }, n) =>
          parts.map((part) => [cacheNames(n, part).past, { data: new Float32Array(0), shape: [prompts.length, heads, 0, headSize] }]),
        ),
      ),
    })
    return prompts.flatMap((_, row) => {
      const last = ((row + 1) * sequence - 1) * vocabularySize
      return Array.from(logits?.subarray(last, last + vocabularySize) ?? [], Number)
    })
  } finally {
    await session.release()
  }
}
