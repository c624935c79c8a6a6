/** Transfers: a decoder's answers to the prompt of each sentence. Each is appended to a file at once, so an interrupted run can resume. */
import { truncate, readdir } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically, removeTemporaries } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { resolveGeneration, type GenerationInput } from '../../accelerated/generation/generationSettings.js'
import { orderedOutput, type Generator, openGenerator, type GeneratorOptions } from '../../finetuning/use/generator.js'
import { appendedFile } from '../../finetuning/run/appendedFile.js'
import type { PromptTemplate } from '../../finetuning/data/promptTemplates.js'
import { type Direction, type TransferData, firstLine, normalized, checkLines, readLines, type TransferDataset } from './datasets.js'
import type { Style } from '../../finetuning/data/styles.js'
import { lockFolder, type FolderLock } from '../../accelerated/storage/folderLock.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import type { versions } from '../../finetuning/run/versions.js'
import type { DirectionScores, SentenceScores } from './scores.js'
import type { TransferTable } from './transferTable.js'

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
  /** files by style; null: trained on the dataset's training sentences, if the dataset has them */
  readonly languageModels: readonly [string, string] | null
  /** the folder of transfers and results; null (only for files of outputs): none */
  readonly output: string | null
}

export type StyleTransferEvent =
  | { readonly kind: 'preparing'; readonly what: string }
  | { readonly kind: 'transferring'; readonly direction: string; readonly done: number; readonly of: number }
  | { readonly kind: 'result'; readonly result: StyleTransferResult; readonly examples: TransferExamples }

export type ByDirection = Readonly<Record<string, DirectionScores>>

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
  readonly languageModels: readonly string[]
  /** the number of sentences of each direction; null: all */
  readonly limit: number | null
  readonly table: TransferTable
  readonly seconds: { readonly transferring: number; readonly scoring: number }
  readonly versions: typeof versions
}

export type Outputs = readonly [readonly string[], readonly string[]]

/** Single transfers with their scores, for a reader who judges them by eye. */
type TransferExample = {
  readonly source: string
  readonly output: string
  /** the first person's rewriting */
  readonly reference: string
  readonly scores: SentenceScores
}

export type ExampleGroup = { readonly direction: string; readonly examples: readonly TransferExample[] }

export type TransferExamples = { readonly title: string; readonly groups: readonly ExampleGroup[] }

const transfer = z.object({ source: z.string(), text: z.string(), tokens: z.int().min(0), ended: z.enum(['end', 'stop', 'length']) })
export type Transfer = z.infer<typeof transfer>

/** Bytes of a file of transfers. */
const fileLimit = 1_000_000_000

/** The transfers in a file: line i belongs to source i. An incomplete last line is removed. @throws InputError */
export const transfersIn = async (file: string, { sources }: Pick<Direction, 'sources'>): Promise<readonly Transfer[]> => {
  if (!existsSync(file)) return []
  const text = await readText(file, fileLimit)
  const complete = text.slice(0, text.lastIndexOf('\n') + 1)
  if (complete.length < text.length) await truncate(file, Buffer.byteLength(complete))
  const lines = complete.split('\n').slice(0, -1)
  if (lines.length > sources.length) throw inputError(file, `at most ${sources.length} transfers, one a sentence`, String(lines.length))
  return lines.map((line, i) => {
    const where = `${file}, line ${i + 1}`
    const stored = validate(transfer, parseJson(line, where), where, 'a transfer')
    if (stored.source !== sources[i])
      throw inputError(where, `the transfer of ${JSON.stringify(sources[i])}`, JSON.stringify(stored.source))
    return stored
  })
}

export type Transferring = {
  readonly generator: Pick<Generator, 'encode' | 'answers'>
  readonly direction: Direction
  readonly template: PromptTemplate
  readonly generation: Partial<GenerationInput>
  readonly file: string
}

/** Removes an incomplete batch, which is then made again. So the batches, and the last bits, are those of an uninterrupted run. */
const dropIncompleteBatch = async (file: string, direction: Direction, batchSize: number): Promise<number> => {
  const stored = await transfersIn(file, direction)
  const kept = stored.length === direction.sources.length ? stored.length : stored.length - (stored.length % batchSize)
  if (kept < stored.length) await writeFileAtomically(file, stored.slice(0, kept).map(formatLine).join(''))
  return kept
}

const formatLine = (line: Transfer): string => `${JSON.stringify(line)}\n`

/**
 * Makes the transfers that the file lacks, and yields their number after each. Before the first one, all sentences of the direction are checked
 * against the model's positions. After an abort it ends early, and finished transfers are on the disk. @throws InputError
 */
export async function* transferAll(
  { generator, direction, template, generation, file }: Transferring,
  signal: AbortSignal,
): AsyncGenerator<number, void> {
  const { sources, instruction } = direction
  const first = await dropIncompleteBatch(file, direction, resolveGeneration(generation).batchSize)
  const prompts = sources.map((input, i) => generator.encode({ template, instruction, input }, `${direction.file}, line ${i + 1}`))
  const { append, flush } = appendedFile(file)
  let done = first
  yield done
  try {
    const answers = generator.answers(prompts.slice(first), { ...generation, lineOnly: true }, signal)
    for await (const event of orderedOutput(answers)) {
      if (event.kind === 'piece') continue
      if (event.prompt !== done - first) break // an answer before this one was given up
      const { text, tokens, ended } = event
      append(formatLine({ source: sources[done] ?? '', text, tokens, ended }))
      yield ++done
    }
  } finally {
    await flush()
  }
}

// The lines to score: a decoder writes them, or files have them.
/** Lines to score, by the sources' style; null where a signal came before all were made. */
export const produceOutputs = async function* (
  { source, output, limit }: StyleTransferOptions,
  data: TransferData,
  signal: AbortSignal,
): AsyncGenerator<StyleTransferEvent, Outputs | null> {
  if ('files' in source) {
    const read = async (i: 0 | 1): Promise<readonly string[]> => {
      const { sources, file } = data.directions[i]
      const lines = await readLines(source.files[i])
      const expected = limit === null ? sources.length : Math.max(sources.length, lines.length)
      checkLines(lines, source.files[i], expected, file)
      const selected = lines.slice(0, sources.length)
      return source.normalize ? selected.map(normalized) : selected
    }
    return [await read(0), await read(1)]
  }
  yield { kind: 'preparing', what: `opening ${source.generator.model}` }
  const toTransferFile = (from: Style): string => transferFile(output ?? '', from)
  const generator = await openGenerator(source.generator)
  try {
    for (const direction of data.directions) {
      for await (const done of transferAll({ ...source, generator, direction, file: toTransferFile(direction.from) }, signal))
        yield { kind: 'transferring', direction: direction.name, done, of: direction.sources.length }
      if (signal.aborted) return null
    }
  } finally {
    await generator.release()
  }
  const lines = async (i: 0 | 1): Promise<readonly string[]> =>
    (await transfersIn(toTransferFile(i), data.directions[i])).map(({ text }) => normalized(firstLine(text)))
  return [await lines(0), await lines(1)]
}

// The folder of a transfer: its configuration, the transfers of both directions, and their scores.
/** Everything that transfers depend on, as texts by name. */
type TransferConfig = Readonly<Record<string, string>>

const schema = z.object({ transfers: z.record(z.string().max(100), z.string().max(10_000)) })
const configLimit = 1_000_000

const transferFile = (folder: string, style: Style): string => join(folder, `transfers.${style}.jsonl`)

/**
 * Makes the folder, or opens the folder of an earlier call with the same configuration, and locks it. @throws InputError if it has other files, or
 * transfers with other settings, another model or other sentences
 */
export const openTransferFolder = async (folder: string, config: TransferConfig): Promise<FolderLock> => {
  const where = `--output ${folder}`
  const file = join(folder, 'config.json')
  await makeFolder(folder).catch((thrown: unknown) => {
    throw systemInputError(where, 'a folder that can be written', thrown)
  })
  const files = await readdir(folder).catch((thrown: unknown) => {
    throw systemInputError(where, 'a folder', thrown)
  })
  if (!existsSync(file)) {
    const other = files.find((name) => !/^lock-|\.partial$/.test(name))
    if (other !== undefined) throw inputError(where, 'a new folder, or one of an earlier transfer', `${quoted(other)} in it`)
  }
  const lock = await lockFolder(folder, where)
  try {
    if (existsSync(file)) {
      const { transfers } = validate(schema, parseJson(await readText(file, configLimit), file), file, 'the config.json of a transfer')
      const differing = Object.keys({ ...config, ...transfers }).find((name) => config[name] !== transfers[name])
      if (differing !== undefined)
        throw inputError(
          where,
          `${differing} ${quoted(transfers[differing] ?? 'none')}, as the transfers in it have (or another folder)`,
          quoted(config[differing] ?? 'none'),
        )
    } else await writeFileAtomically(file, `${JSON.stringify({ transfers: config }, null, 2)}\n`)
    await removeTemporaries(folder)
    return lock
  } catch (thrown) {
    await lock.release()
    throw thrown
  }
}
