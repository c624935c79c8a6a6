/** Export: a trained adapter becomes a folder that another tool opens, complete or absent, and compared with what was trained. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { fileInFolder } from '../../accelerated/storage/fileInFolder.js'
import { formatOf, writeAdapter } from '../../accelerated/formats/index.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import type { Method } from '../../accelerated/methods/method.js'
import type { TaskOutputs } from '../../accelerated/objectives/taskType.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { exportMerged } from '../../accelerated/formats/exportMerged.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { onnxFiles, exportOnnx } from '../../accelerated/formats/exportOnnx.js'
import type { OnnxPrecision } from '../../accelerated/formats/onnxWeights.js'
import { writePaddedLora } from '../../accelerated/formats/peft/lora.js'
import type { Feed } from '../../accelerated/engines/feeds.js'
import { openModelFile } from '../../accelerated/engines/onnxRuntimeNode.js'
import { encodingOf, resolveLabels, loadTrainedModel, openPredictions, type Text, type TrainedAdapterOptions } from './trainedAdapter.js'
import { nextTokenLogits, nextTokenLogitsOfOnnx } from './nextTokenLogits.js'
import { inNewFolder } from './newFolder.js'
import { cardFile, cardOfExport } from '../runs/modelCard.js'

export const exportFormats = ['peft', 'peft-padded', 'adapters', 'merged', 'transformers.js'] as const
export type ExportFormat = (typeof exportFormats)[number]

/** Which methods have it, by the layout that they are saved in and what follows from their mathematics; transformers.js has no classifier on a decoder, and no place in a cache for virtual tokens. */
const isFor: Readonly<Record<ExportFormat, (method: Method, kind: ModelSpec['kind'], problem: TaskOutputs['taskType']) => boolean>> = {
  peft: (method) => method.export.format.startsWith('peft'),
  'peft-padded': (method) => formatOf(method).asLora !== undefined,
  adapters: (method) => method.export.format === 'adapters',
  merged: (method) => method.export.merge !== undefined,
  'transformers.js': ({ train }, kind, problem) => kind === 'encoder' || (problem === 'causal' && train.virtualTokens === undefined),
}

/** The precisions of a format, the default first. */
export const precisionsOf = (format: ExportFormat): ReadonlyArray<OnnxPrecision> => {
  if (format === 'merged') return ['float32', 'float16']
  return format === 'transformers.js' ? ['float32', 'float16', 'int8'] : ['float32']
}

/** The model as a run names it, and tokens an example in the comparison. */
export type ExportOptions = Pick<TrainedAdapterOptions, 'model' | 'revision' | 'maxLength' | 'trainedBy' | 'labelNames'> & {
  /** a folder in the layout of a method */
  readonly adapter: string
  readonly format: ExportFormat
  /** a folder that is new or empty */
  readonly output: string
  /** in which weights are written; which format has which: `precisionsOf` */
  readonly precision: OnnxPrecision
  /** texts of the task, for the comparison */
  readonly texts?: ReadonlyArray<Text>
  /** module paths that training adapted; null where only the adapter's own are known */
  readonly targeted: ReadonlyArray<string> | null
}

export type ExportReport = {
  readonly format: ExportFormat
  readonly output: string
  readonly problem: TaskOutputs['taskType']
  readonly files: ReadonlyArray<{ readonly name: string; readonly bytes: number }>
  /** the export against model + adapter, both in float32 on the CPU: logits, of a model that writes text those of the next token */
  readonly comparison: { readonly texts: number; readonly largestLogitDifference: number; readonly largestLogit: number }
}

/** What both sides answer in the comparison: unequal lengths, so that padding counts; a pair, so that token types do; special tokens as text. */
export const trialTexts: ReadonlyArray<Text> = [
  { text: 'The food was superb.' },
  { text: 'No.' },
  { text: 'A film that is long, loud and, in the end, about nothing at all; I left before it was over and do not regret it.' },
  { text: 'Two sequels later,', textPair: 'the story still holds.' },
  { text: '3.5 of 5 stars' },
  { text: 'Somebody typed <pad> and [PAD], <mask> and [MASK] here.' },
]

/** The longest texts of a task: a length that one side cuts and the other does not shows there. */
const longest = (texts: ReadonlyArray<Text>): ReadonlyArray<Text> => {
  const length = ({ text, textPair = '' }: Text): number => text.length + textPair.length
  return [...texts].sort((a, b) => length(b) - length(a)).slice(0, longTexts)
}
const longTexts = 4

/** Writes the folder. @throws Mistake with one line; nothing is left in `output` then */
export const exportAdapter = async (options: ExportOptions): Promise<ExportReport> => {
  const { format, output, adapter: folder } = options
  const trained = await loadTrainedModel(options)
  const { method } = trained.adapter
  const { taskType } = trained.adapter.outputs
  const { kind } = trained.adapter.model.spec
  const has = (name: ExportFormat): boolean => isFor[name](method, kind, taskType)
  if (!has(format))
    throw inputError(
      '--format',
      `one of ${exportFormats.filter(has).join(', ')} for an adapter of method ${method.name}${kind === 'encoder' ? '' : ` on a ${kind}`}`,
      format,
    )
  const precisions = precisionsOf(format)
  if (!precisions.includes(options.precision))
    throw inputError('--precision', `${precisions.join(' or ')} for --format ${format}`, options.precision)
  return inNewFolder(output, { "the model's folder": trained.base.folder, "the adapter's folder": folder }, async (stage) => {
    const names = resolveLabels(trained)
    const adapter = { ...trained.adapter, labelNames: names }
    if (format === 'peft' || format === 'adapters') await writeAdapter(stage, adapter, trained.base)
    if (format === 'peft-padded') await writePaddedLora(stage, formatOf(method).asLora?.(adapter) ?? adapter, options.targeted ?? [])
    const { precision } = options
    const maxLength = taskType === 'causal' ? null : options.maxLength // of training: a prompt may be longer
    if (format === 'merged')
      await exportMerged(stage, trained, names, { precision: precision === 'float16' ? precision : 'float32', maxLength })
    if (format === 'transformers.js') await exportOnnx(stage, trained, names, { precision, maxLength })
    await writeCard(stage, folder, format)
    const texts = [...trialTexts, ...longest(options.texts ?? [])]
    const [wanted, found] = [await logitsOf(trained, texts, options), await logitsOfExport(stage, trained, texts, options)]
    const broken = [...wanted, ...found].find((x) => !Number.isFinite(x))
    if (broken !== undefined) throw inputError(folder, 'finite outputs of model and adapter, and of what is exported', String(broken))
    return {
      format,
      output,
      problem: trained.adapter.outputs.taskType,
      files: await filesOf(stage),
      comparison: {
        texts: texts.length,
        largestLogitDifference: largest(wanted.map((x, i) => x - (found[i] ?? NaN))),
        largestLogit: largest(wanted),
      },
    }
  })
}

/** No card is larger, by far. */
const largestCard = 1_000_000

/** The card that a run left beside the adapter; one of another's hand says what we cannot know to hold of the export. */
const writeCard = async (stage: string, adapter: string, format: ExportFormat): Promise<void> => {
  const file = await fileInFolder(adapter, cardFile).catch(() => undefined) // nor is what cannot be read of our hand
  if (file === undefined || (await stat(file)).size > largestCard) return
  const card = cardOfExport(
    await readFile(file, 'utf8'),
    format === 'merged' ? 'transformers' : format === 'transformers.js' ? format : null,
  )
  if (card !== null) await writeFileAtomically(join(stage, cardFile), card)
}

/** NaN where one is: it must not hide behind the others. */
const largest = (values: ReadonlyArray<number>): number =>
  values.reduce((most, x) => (Number.isNaN(x) ? NaN : Math.max(most, Math.abs(x))), 0)

/** Logits of the trial texts, one after another; of a model that writes text, those of what follows each. */
const logitsOf = async (
  trained: TrainedModel,
  texts: ReadonlyArray<Text>,
  { maxLength }: Pick<ExportOptions, 'maxLength'>,
): Promise<ReadonlyArray<number>> => {
  if (trained.adapter.outputs.taskType === 'causal') return nextTokenLogits(trained, texts)
  const opened = await openPredictions(trained, { precision: 'float32', threads: 0, batchSize: texts.length, maxLength }, deviceOf('cpu'))
  try {
    return (await opened.predict(texts)).flat()
  } finally {
    await opened.release()
  }
}

/** The same of what was written, read back from the disk. */
const logitsOfExport = async (
  stage: string,
  trained: TrainedModel,
  texts: ReadonlyArray<Text>,
  options: ExportOptions,
): Promise<ReadonlyArray<number>> => {
  const { format, precision } = options
  if (format !== 'merged' && format !== 'transformers.js')
    return logitsOf(await loadTrainedModel({ ...options, adapter: stage }), texts, options)
  const own = { maxLength: await ownLength(stage) } // as a tool cuts that knows the folder alone
  const { folder, model } = onnxFiles(precision)
  if (format === 'transformers.js' && trained.adapter.outputs.taskType === 'causal')
    return nextTokenLogitsOfOnnx(join(stage, folder, model), trained, texts)
  if (format === 'transformers.js') return logitsOfOnnx(join(stage, folder, model), trained, texts, own)
  return logitsOf(await loadTrainedModel({ model: stage, adapter: null }), texts, own)
}

const ownLength = async (folder: string): Promise<number> => {
  const file = join(folder, 'tokenizer_config.json')
  return (parseJson(await readText(file), file) as { readonly model_max_length: number }).model_max_length
}

const logitsOfOnnx = async (
  file: string,
  trained: TrainedModel,
  texts: ReadonlyArray<Text>,
  { maxLength }: Pick<ExportOptions, 'maxLength'>,
): Promise<ReadonlyArray<number>> => {
  const encode = await encodingOf(trained, maxLength)
  const encoded = texts.map(encode)
  const sequence = Math.max(...encoded.map(({ inputIds }) => inputIds.length))
  const padded = (rows: ReadonlyArray<ReadonlyArray<number>>, padding: number): Feed => ({
    shape: [rows.length, sequence],
    data: BigInt64Array.from(rows.flatMap((row) => Array.from({ length: sequence }, (_, i) => BigInt(row[i] ?? padding)))),
  })
  const session = await openModelFile(file, { threads: 0 })
  try {
    const { logits } = await session.run({
      input_ids: padded(
        encoded.map(({ inputIds }) => inputIds),
        trained.adapter.model.paddingIndex,
      ),
      attention_mask: padded(
        encoded.map(({ inputIds }) => inputIds.map(() => 1)),
        0,
      ),
      token_type_ids: padded(
        encoded.map(({ tokenTypeIds }) => tokenTypeIds),
        0,
      ),
    })
    return Array.from(logits ?? [], Number)
  } finally {
    await session.release()
  }
}

const filesOf = async (folder: string): Promise<ExportReport['files']> => {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  return Promise.all(names.sort().map(async (name) => ({ name: name.slice(folder.length + 1), bytes: (await stat(name)).size })))
}
