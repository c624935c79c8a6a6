/** Style transfer (SaLoRA, section 4.3): a decoder rewrites sentences, or files have the rewritings; three metrics score them beside the paper's rows. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { type Classify, scoreDirection, unchanged, type Scored, describeModel, languageModels } from './scores.js'
import { classifyStyles, openStyleClassifier, type StyleClassifier } from './styleClassifier.js'
import { bothStyles, type Direction, type TransferData } from './datasets.js'
import {
  openTransferFolder,
  produceOutputs,
  type StyleTransferOptions,
  type StyleTransferEvent,
  type TransferSource,
  type StyleTransferResult,
  type Outputs,
  type TransferExamples,
} from './transfers.js'
import { createHash } from 'node:crypto'
import { fileSha256 } from '../../accelerated/storage/digests.js'
import { adapterFiles } from '../../finetuning/run/runFingerprint.js'
import { writeTables } from '../jobs/jobFolder.js'
import { versions } from '../../finetuning/run/versions.js'
import { published, csvTable, transferLatex, markdownTable, publishedRow, type TableRow, type TransferTable } from './transferTable.js'

// The configuration that the outputs of a style transfer depend on; all outputs in one folder share it.
const describeInputs = async (
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

/** Ends without a result where `signal` is aborted: the next call resumes from the transfers in `output`. @throws InputError, SettingsError or DeviceError */
export async function* styleTransfer(
  options: StyleTransferOptions,
  signal: AbortSignal = new AbortController().signal,
): AsyncGenerator<StyleTransferEvent, void> {
  yield { kind: 'preparing', what: `reading ${options.data}` }
  const data = limited(await options.dataset.read(options.data), options.limit)
  if (options.output === null && 'generator' in options.source) throw inputError('--output', 'a folder for the transfers', 'none given')
  const lock = options.output === null ? null : await openTransferFolder(options.output, await describeInputs(options, data))
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
  const outputs = yield* produceOutputs(options, data, signal)
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
    const scored = async (linesFrom: (direction: Direction) => readonly string[]): Promise<readonly [Scored, Scored]> => {
      const [from0, from1] = data.directions
      return [await scoreDirection(from0, linesFrom(from0), scorers), await scoreDirection(from1, linesFrom(from1), scorers)]
    }
    const transfers = await scored(({ from }) => outputs[from])
    const copies = await scored(unchanged)
    const human = await scored(({ references: [first = []] }) => first)
    const seconds = { transferring: (scoringBegan - began) / 1000, scoring: (performance.now() - scoringBegan) / 1000 }
    const names = bothStyles.map((style) => describeModel(style, data.styles, models[style]))
    const result = buildResult(options, data, { transfers, copies, human }, names, seconds)
    if (options.output !== null) await writeResult(options.output, result)
    yield { kind: 'result', result, examples: pickExamples(options, data, outputs, transfers) }
  } finally {
    await classifier?.release()
  }
}

/** The classifier as a scorer: a style with the probabilities of both. */
export const classifyWith =
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

/** The output of the scores: the table, the examples for a reader, and the files of the result. */
type AllScored = Readonly<Record<'transfers' | 'copies' | 'human', readonly [Scored, Scored]>>

const byDirection = ({ directions }: TransferData, scored: readonly [Scored, Scored]): StyleTransferResult['directions'] =>
  Object.fromEntries(scored.map(({ scores }, i) => [directions[i]?.name ?? '', scores]))

export const buildResult = (
  options: StyleTransferOptions,
  data: TransferData,
  scored: AllScored,
  languageModels: readonly string[],
  seconds: StyleTransferResult['seconds'],
): StyleTransferResult => {
  const { transfers, copies, human } = scored
  return {
    dataset: options.dataset.name,
    name: options.name,
    directions: byDirection(data, transfers),
    unchanged: byDirection(data, copies),
    reference: byDirection(data, human),
    classifier:
      options.classifier === null
        ? null
        : {
            name: options.classifier,
            accuracy: Object.fromEntries(copies.map(({ scores }, i) => [data.styles[i] ?? '', 100 - (scores.accuracy ?? NaN)])),
          },
    languageModels,
    limit: options.limit,
    table: buildTable(options, data, scored),
    seconds,
    versions,
  }
}

/** The paper's rows, then the human rewritings and the unchanged input under our scorers, then the transfers. */
const buildTable = (
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

export const pickExamples = (
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

const writeResult = (folder: string, result: StyleTransferResult): Promise<void> =>
  writeTables(
    folder,
    { md: markdownTable(result.table), csv: csvTable(result.table), tex: transferLatex(result.table) },
    'result.json',
    result,
  )
