/** What a data file holds, before a run: its classes and how long its texts are. */
import type { TaskOptions } from '../finetuning/tasks/index.js'
import { resultInProgram } from '../finetuning/runs/errorsInProgram.js'
import { loadFrom } from '../finetuning/tasks/loadFrom.js'
import { labeledFileSource } from '../finetuning/tasks/files/labeledFile.js'
import { inputError, quoted, shown } from '../accelerated/errors/inputError.js'
import { memoryStorage } from '../accelerated/storage/memory.js'
import { mounted } from '../accelerated/storage/browser.js'

export type DataSummary = {
  readonly rows: number
  /** none if labels are no classes */
  readonly classes: ReadonlyArray<{ readonly name: string; readonly rows: number }>
  /** words of a text: the median and the most */
  readonly words: { readonly median: number; readonly most: number }
}

/** Reads the file as a run would. @throws InputError for the first thing wrong in it */
export const inspect = async (file: Blob & { readonly name: string }, task: Omit<TaskOptions, 'task'> = {}): Promise<DataSummary> => {
  if (!(file instanceof Blob) || typeof file.name !== 'string') throw inputError('inspect', 'a File, or a Blob with a name', shown(file))
  const path = `data/${file.name}`
  if (!labeledFileSource.recognizes(file.name)) throw inputError('data', labeledFileSource.help, quoted(file.name))
  const storage = mounted(memoryStorage(), 'data', new Map([[file.name, file]]))
  const { train, evaluation, labelNames } = await resultInProgram(
    loadFrom(labeledFileSource, { ...task, task: path, storage }),
    labeledFileSource.flags ?? [],
  )
  const examples = [...train.examples, ...evaluation.examples]
  const words = examples.map(({ text, textPair = '' }) => `${text} ${textPair}`.trim().split(/\s+/).length).sort((a, b) => a - b)
  const rows = new Map<number, number>()
  // a row of several classes, or with a tag for each word, counts once for each of them
  for (const { label, labels = [label] } of examples) for (const one of new Set(labels)) rows.set(one, (rows.get(one) ?? 0) + 1)
  return {
    rows: examples.length,
    classes: (labelNames ?? []).map((name, i) => ({ name, rows: rows.get(i) ?? 0 })),
    words: { median: words[words.length >> 1] ?? 0, most: words.at(-1) ?? 0 },
  }
}
