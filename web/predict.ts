/** What a run in a browser leaves: predictions by the adapter that it saved, and its export for transformers.js. */
import { openModelFolder } from '../accelerated/checkpoints/modelFolder.js'
import { inputError, formatValue, quoted } from '../accelerated/errors/inputError.js'
import { exportOnnx } from '../accelerated/formats/exportOnnx.js'
import type { TrainedModel } from '../accelerated/formats/mergedWeights.js'
import type { OnnxPrecision } from '../accelerated/formats/onnxWeights.js'
import { joinPath, baseName } from '../accelerated/storage/paths.js'
import { withFile, type Storage } from '../accelerated/storage/storage.js'
import { resolveLabels, adapterIn, withCheckedHead } from '../finetuning/use/attachAdapter.js'
import type { Text } from '../finetuning/tasks/taskType.js'
import { openPredictions } from '../finetuning/use/modelSessions.js'
import { readRunConfig, readRunResult } from '../finetuning/run/runFiles.js'
import type { FinetuneEvent, RunConfig } from '../finetuning/run/run.js'
import { checkPlace, type Place, version } from './finetune.js'
import { proposeColumns, type ProposedColumns } from '../finetuning/data/columnContent.js'
import { parseEncoding } from '../finetuning/data/encoding.js'
import { findReader } from '../finetuning/data/formats.js'
import type { TaskOptions } from '../finetuning/tasks/index.js'
import { loadFromSource } from '../finetuning/tasks/loadFromSource.js'
import { labeledFileSource } from '../finetuning/tasks/files/labeledFile.js'
import { memoryStorage } from '../accelerated/storage/memory.js'
import { mounted } from '../accelerated/storage/browser.js'

export type Predictor = {
  /** What `salora predict` prints, one object per text. @throws InputError */
  readonly predictions: (texts: readonly Text[]) => Promise<readonly object[]>
  readonly release: () => Promise<void>
}

type Files = Pick<Place, 'storage' | 'baseModelName'>

/** The adapter of the run in `output`, on the model at the path that the run names. @throws InputError */
const trainedIn = async (
  output: string,
  { storage, baseModelName }: Files,
): Promise<{ readonly trained: TrainedModel; readonly settings: RunConfig['settings'] }> => {
  const config = await readRunConfig(output, storage)
  if (config === null) throw inputError(output, 'the folder of a run', 'one without config.json')
  const base = await openModelFolder(config.model, { storage, ...(baseModelName === undefined ? {} : { baseModelName }) })
  const folder = joinPath(output, 'adapter')
  return { trained: await withCheckedHead(await adapterIn(folder, base), folder), settings: config.settings }
}

/** For callers without types. @throws InputError */
const checkRun = (caller: string, output: unknown): void => {
  if (typeof output !== 'string' || output === '') throw inputError(caller, 'the folder of a run in the storage', formatValue(output))
}

/** Opens the adapter of a run for predictions. @throws InputError */
export const predictor = async (output: string, place: Files & Pick<Place, 'device'>): Promise<Predictor> => {
  checkRun('predictor', output)
  checkPlace('predictor', place)
  const { trained, settings } = await trainedIn(output, place)
  const machine = { precision: settings.precision, threads: settings.threads, batchSize: 8, maxLength: settings.maxLength }
  return openPredictions(trained, machine, place.device)
}

/**
 * Writes the run's model with its adapter merged, as transformers.js opens it, into an empty folder of a storage. The export of Node also compares
 * it with the original. @throws InputError
 */
export const exportForTransformersJs = async (
  output: string,
  place: Files,
  to: { readonly storage: Storage; readonly folder: string },
  precision: OnnxPrecision = 'float32',
): Promise<void> => {
  checkRun('exportForTransformersJs', output)
  checkPlace('exportForTransformersJs', place, ['storage'])
  const { trained, settings } = await trainedIn(output, place)
  await exportOnnx(to.folder, trained, resolveLabels(trained), { precision, maxLength: settings.maxLength, storage: to.storage })
}

/** What a data file holds, before a run: its classes and how long its texts are. */
export type DataSummary = {
  readonly rows: number
  /** none if labels are no classes */
  readonly classes: readonly { readonly name: string; readonly rows: number }[]
  /** words of a text: the median and the most */
  readonly words: { readonly median: number; readonly most: number }
  /** the first row of each class, of three classes at most */
  readonly samples: readonly { readonly text: string; readonly label: string }[]
}

export type NamedBlob = Blob & { readonly name: string }

/** The columns of a data file, and those that probably hold the text and the label. @throws InputError for a file of an unknown format */
export const readColumns = async (file: NamedBlob, encoding?: string): Promise<ProposedColumns> => {
  const { path, storage } = placeFile(file)
  const format = { storage, ...(encoding === undefined ? {} : { encoding: parseEncoding(encoding) }) }
  return proposeColumns(path, findReader(path, format), format)
}

/** Rows between two reports of their share. */
const reported = 1000

/** Reads the file as a run would. @param onShare told the share of this work that is done, from 0 to 1 @throws InputError for the first thing wrong in it */
export const inspect = async (
  file: NamedBlob,
  task: Omit<TaskOptions, 'task'> = {},
  onShare: (share: number) => void = () => undefined,
): Promise<DataSummary> => {
  // reading takes about as long as what follows
  const { path, storage } = placeFile(file, (share) => onShare(share / 2))
  const onSplit = (share: number): void => onShare(1 / 2 + share / 4)
  const { train, evaluation, labelNames } = await loadFromSource(labeledFileSource, { ...task, task: path, storage, onSplit })
  const examples = [...train.examples, ...evaluation.examples]
  const [words, rows] = [new Int32Array(examples.length), new Map<number, number>()]
  examples.forEach(({ text, textPair = '', label, labels = [label] }, i) => {
    if (i % reported === 0) onShare(3 / 4 + i / examples.length / 4)
    words[i] = `${text} ${textPair}`.trim().split(/\s+/).length
    // a row of several classes, or with a tag for each word, counts once for each of them
    for (const one of new Set(labels)) rows.set(one, (rows.get(one) ?? 0) + 1)
  })
  words.sort()
  onShare(1)
  return {
    rows: examples.length,
    classes: (labelNames ?? []).map((name, i) => ({ name, rows: rows.get(i) ?? 0 })),
    words: { median: words[words.length >> 1] ?? 0, most: words.at(-1) ?? 0 },
    samples: (labelNames ?? []).slice(0, 3).flatMap((label, i) => {
      const first = examples.find((example) => example.label === i)
      return first === undefined ? [] : [{ text: first.text.slice(0, 200), label }]
    }),
  }
}

/** A storage that holds the file alone. @throws InputError */
export const placeFile = (file: NamedBlob, onShare?: (share: number) => void): { readonly path: string; readonly storage: Storage } => {
  if (!(file instanceof Blob) || typeof file.name !== 'string')
    throw inputError('inspect', 'a File, or a Blob with a name', formatValue(file))
  if (!labeledFileSource.recognizes(file.name)) throw inputError('data', labeledFileSource.help, quoted(file.name))
  const [path, storage] = [`data/${file.name}`, mounted(memoryStorage(), 'data', new Map([[file.name, file]]))]
  return { path, storage: onShare === undefined ? storage : withShares(storage, path, onShare) }
}

/** The storage, which reports the share of a file that has been asked for, from its opening on. */
export const withShares = (storage: Storage, file: string, onShare: (share: number) => void): Storage => ({
  ...storage,
  open: async (path) => {
    const opened = await storage.open(path)
    if (path !== file) return opened
    let bytes = 0 // not the place: Parquet is read from its end
    const read: typeof opened.read = (at, size) => {
      bytes += size
      onShare(Math.min(1, bytes / opened.size))
      return opened.read(at, size)
    }
    return { ...opened, read }
  },
})

/** The steps, evaluations and expected ranks in the metrics of a run up to a step: what a run has done that is resumed from there. */
export const readRunEvents = async (output: string, lastStep: number, storage: Storage): Promise<readonly FinetuneEvent[]> => {
  const file = joinPath(output, 'metrics.jsonl')
  if ((await storage.stat(file)) === null) return []
  const text = await withFile(storage, file, async ({ size, read }) => new TextDecoder().decode(await read(0, size)))
  const lines = text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as FinetuneEvent]))
  // a line has the method's columns among its own
  const events = lines.map((line) => (line.kind === 'step' ? { ...line, columns: line as object as typeof line.columns } : line))
  return events.filter(
    (event) => (event.kind === 'step' || event.kind === 'evaluation' || event.kind === 'ranks') && event.step <= lastStep,
  )
}

/** The built script and style of the report's page: dist/reporting/page/report.js and page.css. */
export type ReportFiles = { readonly script: string; readonly style: string }

/** One HTML text that loads nothing. @throws InputError if the run is not finished, or its files are not those of a run */
export const report = async (output: string, { storage }: Pick<Place, 'storage'>, files: ReportFiles): Promise<string> => {
  const [config, result] = [await readRunConfig(output, storage), await readRunResult(output, storage)]
  if (config === null || result === null)
    throw inputError(output, 'a finished run', `no ${config === null ? 'config.json' : 'result.json'}`)
  const { reportPage } = await import('../reporting/report/reportPage.js')
  const name = baseName(output)
  const runs = [{ folder: output, name, place: null, config, result }]
  return (await reportPage({ runs, sweeps: [], transfers: [], skipped: [] }, { name, version, files, storage })).html
}
