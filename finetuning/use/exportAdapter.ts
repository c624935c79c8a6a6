/** Exports a trained adapter as a folder that another tool opens: complete or absent, and compared with the original. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { isAbsolute, join, sep } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { Feed } from '../../accelerated/engines/feeds.js'
import { adapterBytes, adapterFeeds, adapterFile, chooseMaxRank } from '../../accelerated/formats/adapterInputs.js'
import { exportMerged } from '../../accelerated/formats/exportMerged.js'
import { exportOnnx } from '../../accelerated/formats/exportOnnx.js'
import { exportGguf } from '../../accelerated/formats/gguf/exportGguf.js'
import { writeGgufAdapter } from '../../accelerated/formats/gguf/ggufAdapter.js'
import { writeAdapter } from '../../accelerated/formats/index.js'
import type { OnnxPrecision } from '../../accelerated/formats/onnxWeights.js'
import { writePaddedLora } from '../../accelerated/formats/peft/lora.js'
import { isBare } from '../../accelerated/models/modelOutputs.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import type { ScoreComparison } from '../run/cardBody.js'
import { cardFile, buildExportCard } from '../run/modelCard.js'
import { buildUsage, type Opener, type Usage } from '../run/usageExamples.js'
import type { Evaluation } from '../tasks/index.js'
import { findTaskType } from '../tasks/findTaskType.js'
import { comparedTexts, compareExport, compareScores, type Comparison } from './exportComparison.js'
import { asLora, listPrecisions, supportedFormats, unsupported, type ExportFormat } from './exportFormats.js'
import { resolveLabels } from './attachAdapter.js'
import { inNewFolder } from './newFolder.js'
import type { Text } from '../tasks/taskType.js'
import { type TrainedAdapterOptions, loadTrainedModel, type TrainedModel } from './openModel.js'

export type ExportOptions = Pick<TrainedAdapterOptions, 'model' | 'revision' | 'maxLength' | 'trainedBy' | 'labelNames'> & {
  /** an adapter's folder, in the layout of any method */
  readonly adapter: string
  readonly format: ExportFormat
  /** a new or an empty folder */
  readonly output: string
  /** of the written weights; `precisionsOf` lists those of each format */
  readonly precision: OnnxPrecision
  /** texts of the task, for the comparison */
  readonly texts?: readonly Text[]
  /** the run's evaluation data, on which an export in int8 is scored */
  readonly labeled?: Evaluation | null
  /** Reports how many rows are scored. */
  readonly onScoring?: (done: number, total: number) => void
  /** module paths that training adapted; null: only those of the adapter are known */
  readonly targeted: readonly string[] | null
  /** for `transformers.js`: the base alone, whose adapters are inputs, and this adapter as a file; `maxRank` null: the usual one */
  readonly adapterInputs?: { readonly maxRank: number | null }
}

export type ExportReport = {
  readonly format: ExportFormat
  readonly output: string
  readonly files: readonly { readonly name: string; readonly bytes: number }[]
  /** the export against model + adapter, both in float32 on the CPU */
  readonly comparison: Comparison
  /** of an export in int8; null without data, or where its answers cannot be scored */
  readonly scores: ScoreComparison | null
  /** the call that opens the export in its tool */
  readonly usage: string
  /** what a user of the export must know */
  readonly warnings: readonly string[]
}

/** Writes the folder. @throws InputError; `output` is then as it was */
export const exportAdapter = async (options: ExportOptions): Promise<ExportReport> => {
  const { format, output, adapter: folder, precision, texts = [] } = options
  const trained = await loadTrainedModel(options)
  checkFormat(trained, options)
  const others = { "the model's folder": trained.base.folder, "the adapter's folder": folder }
  return inNewFolder(output, others, async (stage) => {
    const inputs = await writeExport(stage, trained, options)
    const compared = comparedTexts(trained.adapter.outputs, texts)
    const comparison = await compareExport(trained, { folder: stage, format, precision, inputs }, compared, options)
    const isRounded = format === 'transformers.js' && precision === 'int8'
    const scores =
      isRounded && options.labeled != null
        ? await compareScores(trained, { folder: stage, precision, inputs }, options.labeled, options, options.onScoring)
        : null
    await writeCard(stage, folder, options, trained, scores)
    const havePairs = arePairs(texts)
    const ofTask = findTaskType(trained.adapter.outputs, folder).exportWarnings?.(format, { havePairs }) ?? []
    const warnings = [...ofTask, ...tokenWarnings(trained, format)]
    return {
      format,
      output,
      files: await listFiles(stage),
      comparison,
      scores,
      usage: usageFor(trained, options, format === 'transformers.js' ? asFolder(output) : output).call,
      warnings,
    }
  })
}

/** PEFT does not resize the model for an adapter. */
const tokenWarnings = ({ base: { added, model } }: TrainedModel, format: ExportFormat): readonly string[] =>
  added === undefined || format !== 'peft'
    ? []
    : [
        `the adapter adds ${added.tokens.length} token${added.tokens.length === 1 ? '' : 's'}: resize the model before PEFT opens it, base.resize_token_embeddings(${model.vocabularySize})`,
      ]

/** @throws InputError if the model or the method does not support the format or the precision */
const checkFormat = ({ adapter }: TrainedModel, { format, precision, adapterInputs }: ExportOptions): void => {
  if (adapterInputs !== undefined && format !== 'transformers.js')
    throw inputError(option('adapterInputs'), words`${option('format')} transformers.js`, format)
  if (adapterInputs !== undefined && !supportedFormats(adapter).includes('peft-file'))
    throw inputError(option('adapterInputs'), 'an adapter that is plain LoRA', unsupported(adapter, 'peft-file'))
  const formats = supportedFormats(adapter)
  if (!formats.includes(format))
    throw inputError(option('format'), `one of ${formats.join(', ')} for ${unsupported(adapter, format)}`, format)
  const precisions = listPrecisions(format)
  if (!precisions.includes(precision))
    throw inputError(option('precision'), words`${precisions.join(' or ')} for ${option('format')} ${format}`, precision)
}

/** → the inputs of an exported graph beside the texts */
const writeExport = async (stage: string, trained: TrainedModel, options: ExportOptions): Promise<Readonly<Record<string, Feed>>> => {
  const { format, precision, targeted, adapterInputs } = options
  const labelNames = resolveLabels(trained)
  const adapter = { ...trained.adapter, labelNames }
  const maxLength = adapter.outputs.head === 'causal' ? null : options.maxLength // a prompt may be longer than a training text
  if (format === 'peft' || format === 'adapters') await writeAdapter(stage, adapter, trained.base)
  const lora = asLora(adapter) ?? adapter
  const floats = precision === 'float16' ? precision : 'float32'
  if (format === 'peft-padded') await writePaddedLora(stage, lora, targeted ?? [])
  if (format === 'merged') await exportMerged(stage, trained, labelNames, { precision: floats, maxLength })
  if (format === 'gguf') await writeGgufAdapter(stage, lora, floats)
  if (format === 'gguf-merged') await exportGguf(stage, trained, { precision })
  if (format === 'peft-file' || adapterInputs !== undefined)
    await writeFileAtomically(join(stage, adapterFile), await adapterBytes(trained, lora, labelNames))
  const graph = adapterInputs === undefined ? null : { lora, maxRank: chooseMaxRank(lora, adapterInputs.maxRank) }
  if (format === 'transformers.js') await exportOnnx(stage, trained, labelNames, { precision, maxLength, adapterInputs: graph })
  return graph === null ? {} : adapterFeeds(lora, trained.head, graph.maxRank)
}

const openers: Readonly<Record<ExportFormat, Opener>> = {
  peft: 'peft',
  'peft-padded': 'peft',
  'peft-file': 'peft-file',
  adapters: 'adapter-transformers',
  merged: 'transformers',
  'transformers.js': 'transformers.js',
  gguf: 'gguf',
  'gguf-merged': 'gguf-merged',
}

const findOpener = ({ format, adapterInputs }: ExportOptions): Opener => (adapterInputs === undefined ? openers[format] : 'adapter-inputs')

/** transformers.js takes `exported/reviews` for a hub id, but not `./exported/reviews`. */
const asFolder = (path: string): string => (isAbsolute(path) || /^\.\.?[\\/]/.test(path) ? path : `./${path}`)

const arePairs = (texts: readonly Text[]): boolean => texts.some(({ textPair }) => textPair !== undefined)

const usageFor = ({ base, adapter: { model, outputs } }: TrainedModel, options: ExportOptions, place: string): Usage => {
  const { precision, texts = [] } = options
  return buildUsage(findOpener(options), {
    base: base.baseModelName,
    place,
    pipelineTag: findTaskType(outputs, base.folder).pipelineTag,
    labels: outputs.labels,
    havePairs: arePairs(texts),
    readsEmbeddings: outputs.head === 'sequence' && isBare(model, outputs),
    precision,
  })
}

/** No card is larger, by far. */
const largestCard = 1_000_000

/** Adapts the card that a run left beside the adapter. Any other card is not copied: it may say what does not hold of the export. */
const writeCard = async (
  stage: string,
  adapter: string,
  options: ExportOptions,
  trained: TrainedModel,
  scores: ScoreComparison | null,
): Promise<void> => {
  const file = await fileInFolder(adapter, cardFile).catch(() => undefined) // a card that cannot be read is not ours
  if (file === undefined || (await stat(file)).size > largestCard) return
  const opener = findOpener(options)
  const isSame = opener === 'peft' || opener === 'adapter-transformers'
  const library = isSame || opener === 'peft-file' ? null : opener
  const usage = isSame ? null : usageFor(trained, options, 'MODEL') // a published card has no folders
  const card = buildExportCard(
    await readFile(file, 'utf8'),
    library,
    usage,
    scores === null ? null : { precision: options.precision, ...scores },
  )
  if (card !== null) await writeFileAtomically(join(stage, cardFile), card)
}

const listFiles = async (folder: string): Promise<ExportReport['files']> => {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  return Promise.all(
    names.sort().map(async (name) => ({ name: name.slice(folder.length + 1).replaceAll(sep, '/'), bytes: (await stat(name)).size })),
  )
}
