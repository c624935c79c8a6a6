/** Style transfer (SaLoRA, section 4.3): a decoder rewrites sentences, or files have the rewritings; three metrics score them beside the paper's rows. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { fileSha256 } from '../../accelerated/storage/sha256.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { GenerationInput } from '../../accelerated/generation/settings.js'
import type { PromptTemplate } from '../../finetuning/data/promptTemplates.js'
import { openGenerator, type GeneratorOptions } from '../../finetuning/adapters/generator.js'
import { adapterFiles } from '../../finetuning/runs/runFingerprint.js'
import { versions } from '../../finetuning/runs/versions.js'
import type { TransferExamples } from './examples.js'
import type { Classify } from './scorers.js'
import { classifyStyles, openStyleClassifier, type StyleClassifier } from './styleClassifier.js'
import { describeModel, languageModels } from './languageModels.js'
import { firstLine, normalized } from './normalizedText.js'
import { published } from './paperResults.js'
import { scoreDirection, unchanged, type DirectionScores, type Scored } from './scores.js'
import { checkLines, linesOf } from './textFile.js'
import type { Style } from '../../finetuning/data/styles.js'
import { bothStyles, type Direction, type TransferData, type TransferDataset } from './transferData.js'
import { openTransferFolder, transferFile } from './transferFolder.js'
import { csvTable, latexTable, markdownTable, publishedRow, type TableRow, type TransferTable } from './transferTable.js'
import { transferAll, transfersIn } from './transfers.js'

/** A decoder that rewrites, or files with another system's outputs: from style 0, from style 1. */
export type TransferSource =
  | {
      readonly generator: Pick<GeneratorOptions, 'model'> & Partial<GeneratorOptions>
      readonly template: PromptTemplate
      readonly generation: Partial<GenerationInput>
    }
  | { readonly files: readonly [string, string]; readonly normalize: boolean }

export type StyleTransferOptions = {
  readonly dataset: TransferDataset
  readonly data: string
  /** use only the first n sentences of each direction; null: all */
  readonly limit: number | null
  readonly source: TransferSource
  /** the row's name in the table */
  readonly name: string
  /** a run that classifies the two styles; null: no accuracy */
  readonly classifier: string | null
  /** files by style; null: trained on the dataset's training sentences, if it has any */
  readonly languageModels: readonly [string, string] | null
  /** the folder of transfers and results; null (only for files of outputs): none */
  readonly output: string | null
}

export type StyleTransferEvent =
  | { readonly kind: 'preparing'; readonly what: string }
  | { readonly kind: 'transferring'; readonly direction: string; readonly done: number; readonly of: number }
  | { readonly kind: 'result'; readonly result: StyleTransferResult; readonly examples: TransferExamples }

type ByDirection = Readonly<Record<string, DirectionScores>>

export type StyleTransferResult = {
  readonly dataset: string
  readonly name: string
  /** by direction, as `negative to positive` */
  readonly directions: ByDirection
  readonly unchanged: ByDirection
  /** the first person's rewritings; their BLEU against themselves is meaningless */
  readonly reference: ByDirection
  /** the classifier's accuracy on the sources, its test set, in percent; null without one */
  readonly classifier: { readonly name: string; readonly accuracy: Readonly<Record<string, number>> } | null
  /** by style */
  readonly languageModels: ReadonlyArray<string>
  /** the number of sentences of each direction; null: all */
  readonly limit: number | null
  readonly table: TransferTable
  readonly seconds: { readonly transferring: number; readonly scoring: number }
  readonly versions: typeof versions
}

/** Ends without a result where `signal` is aborted: the next call resumes from the transfers in `output`. @throws InputError, SettingsError or DeviceError */
export async function* styleTransfer(
  options: StyleTransferOptions,
  signal: AbortSignal = new AbortController().signal,
): AsyncGenerator<StyleTransferEvent, void> {
  yield { kind: 'preparing', what: `reading ${options.data}` }
  const data = limited(await options.dataset.read(options.data), options.limit)
  if (options.output === null && 'generator' in options.source) throw inputError('--output', 'a folder for the transfers', 'none given')
  const lock = options.output === null ? null : await openTransferFolder(options.output, await configOf(options, data))
  try {
    yield* transferredAndScored(options, data, signal)
  } finally {
    await lock?.release()
  }
}

const transferredAndScored = async function* (
  options: StyleTransferOptions,
  data: TransferData,
  signal: AbortSignal,
): AsyncGenerator<StyleTransferEvent, void> {
  const began = performance.now()
  const outputs = yield* outputsOf(options, data, signal)
  if (outputs === null || signal.aborted) return
  const scoringBegan = performance.now()
  const models = yield* languageModels(data, options.languageModels, options.output, signal)
  yield { kind: 'preparing', what: 'scoring' }
  const classifier = options.classifier === null ? null : await openStyleClassifier(options.dataset.name, { run: options.classifier })
  try {
    const scorers = {
      classify: classifier === null ? null : classifyWith(classifier, signal),
      models: [models[0]?.model ?? null, models[1]?.model ?? null] as const,
    }
    const scored = async (linesFrom: (direction: Direction) => ReadonlyArray<string>): Promise<readonly [Scored, Scored]> => {
      const [from0, from1] = data.directions
      return [await scoreDirection(from0, linesFrom(from0), scorers), await scoreDirection(from1, linesFrom(from1), scorers)]
    }
    const transfers = await scored(({ from }) => outputs[from])
    const copies = await scored(unchanged)
    const human = await scored(({ references: [first = []] }) => first)
    const byDirection = (directions: readonly [Scored, Scored]): ByDirection =>
      Object.fromEntries(directions.map(({ scores }, i) => [data.directions[i]?.name ?? '', scores]))
    const table = tableOf(options, data, { transfers, copies, human })
    const result: StyleTransferResult = {
      dataset: options.dataset.name,
      name: options.name,
      directions: byDirection(transfers),
      unchanged: byDirection(copies),
      reference: byDirection(human),
      classifier: classifier && {
        name: options.classifier ?? '',
        accuracy: Object.fromEntries(copies.map(({ scores }, i) => [data.styles[i] ?? '', 100 - (scores.accuracy ?? NaN)])),
      },
      languageModels: bothStyles.map((style) => describeModel(style, data.styles, models[style])),
      limit: options.limit,
      table,
      seconds: { transferring: (scoringBegan - began) / 1000, scoring: (performance.now() - scoringBegan) / 1000 },
      versions,
    }
    if (options.output !== null) await writeResult(options.output, result)
    yield { kind: 'result', result, examples: examplesOf(options, data, outputs, transfers) }
  } finally {
    await classifier?.release()
  }
}

const classifyWith =
  (classifier: StyleClassifier, signal: AbortSignal): Classify =>
  async (sentences) =>
    (await classifyStyles(classifier, sentences, { signal })).map(({ style, score }) => ({
      style,
      probabilities: style === 0 ? [score, 1 - score] : [1 - score, score],
    }))

const limited = (data: TransferData, limit: number | null): TransferData => {
  if (limit === null) return data
  const first = (direction: Direction): Direction => ({
    ...direction,
    sources: direction.sources.slice(0, limit),
    references: direction.references.map((lines) => lines.slice(0, limit)),
  })
  return { ...data, directions: [first(data.directions[0]), first(data.directions[1])] }
}

type Outputs = readonly [ReadonlyArray<string>, ReadonlyArray<string>]

/** Lines to score, by the sources' style; null where a signal came before all were made. */
const outputsOf = async function* (
  { source, output, limit }: StyleTransferOptions,
  data: TransferData,
  signal: AbortSignal,
): AsyncGenerator<StyleTransferEvent, Outputs | null> {
  if ('files' in source) {
    const read = async (i: 0 | 1): Promise<ReadonlyArray<string>> => {
      const { sources, file } = data.directions[i]
      const lines = await linesOf(source.files[i])
      const expected = limit === null ? sources.length : Math.max(sources.length, lines.length)
      checkLines(lines, source.files[i], expected, file)
      const selected = lines.slice(0, sources.length)
      return source.normalize ? selected.map(normalized) : selected
    }
    return [await read(0), await read(1)]
  }
  yield { kind: 'preparing', what: `opening ${source.generator.model}` }
  const fileOf = (from: Style): string => transferFile(output ?? '', from)
  const generator = await openGenerator(source.generator)
  try {
    for (const direction of data.directions) {
      for await (const done of transferAll({ ...source, generator, direction, file: fileOf(direction.from) }, signal))
        yield { kind: 'transferring', direction: direction.name, done, of: direction.sources.length }
      if (signal.aborted) return null
    }
  } finally {
    await generator.release()
  }
  const lines = async (i: 0 | 1): Promise<ReadonlyArray<string>> =>
    (await transfersIn(fileOf(i), data.directions[i])).map(({ text }) => normalized(firstLine(text)))
  return [await lines(0), await lines(1)]
}

/** Everything that the outputs depend on. */
const configOf = async (
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

type AllScored = Readonly<Record<'transfers' | 'copies' | 'human', readonly [Scored, Scored]>>

/** The paper's rows, then the human rewritings and the unchanged input under our scorers, then the transfers. */
const tableOf = (
  { dataset, name, limit }: StyleTransferOptions,
  { directions }: TransferData,
  { transfers, copies, human }: AllScored,
): TransferTable => {
  const row = (method: string, [from0, from1]: readonly [Scored, Scored]): TableRow => ({
    method,
    scores: [from0.scores, from1.scores],
    published: false,
  })
  const papers = published.flatMap((line) => publishedRow(line, dataset.name) ?? [])
  return {
    title: limit === null ? dataset.title : `${dataset.title}, first ${limit} sentences each way`,
    directions: [directions[0].name, directions[1].name],
    rows: [...papers, row('Reference', human), row('input unchanged', copies), row(name, transfers)],
  }
}

const examplesOf = (
  { dataset, name }: StyleTransferOptions,
  { directions }: TransferData,
  outputs: Outputs,
  transfers: readonly [Scored, Scored],
): TransferExamples => ({
  title: `${dataset.title}: ${name}`,
  groups: directions.map((direction, i) => ({
    direction: direction.name,
    examples: direction.sources.map((source, line) => ({
      source,
      output: outputs[direction.from][line] ?? '',
      reference: direction.references[0]?.[line] ?? '',
      scores: transfers[i]?.sentences[line] ?? { bleu: 0, probability: null, perplexity: null },
    })),
  })),
})

const writeResult = async (folder: string, result: StyleTransferResult): Promise<void> => {
  const write = (name: string, text: string): Promise<void> => writeFileAtomically(join(folder, name), text)
  await write('table.md', markdownTable(result.table))
  await write('table.csv', csvTable(result.table))
  await write('table.tex', latexTable(result.table))
  await write('result.json', `${JSON.stringify(result, null, 2)}\n`)
}
