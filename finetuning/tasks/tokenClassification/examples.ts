/** Sentences with a tag for each word: CoNLL-style columns, or rows of tokens and tags, or of a text and its spans. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import { exampleStore, type StoredExample } from '../../data/compactExamples.js'
import type { Dataset, SkippedRow } from '../../data/dataset.js'
import { hasObjects } from '../../data/formats.js'
import type { TaggedOptions } from './sentences.js'
import { tagReader } from './tagClasses.js'
import { columnSentences } from './columns.js'
import { rowSentences } from './rows.js'
import { checkSize } from '../../data/textFile.js'

/** Endings of files whose columns are tokens and tags. Any other ending than those of objects is read in the same way if the user asks for it. */
export const taggedEndings: ReadonlyArray<string> = ['.conll', '.iob', '.iob2', '.bio', '.bioes']

/** The sentences of `file` as examples with one class per word, in IOB2. @throws InputError for the first thing wrong */
export const readTagged = async (file: string, options: TaggedOptions): Promise<Dataset> => {
  await checkSize(file, options.storage)
  const tags = tagReader(file, options.labelNames)
  const store = exampleStore()
  const examples: StoredExample[] = []
  const skipped: SkippedRow[] = []
  const read = hasObjects(file) ? rowSentences : columnSentences
  await read(
    file,
    options,
    (row, { text, words, tags: written }) => examples.push(store({ text, words, label: 0, labels: tags.read(written, row), row })),
    (row, reason) => skipped.push({ row, reason }),
  )
  if (examples.length === 0)
    throw inputError(file, 'at least one sentence', skipped.length === 0 ? 'none' : `none in ${skipped.length} rows`)
  return { source: file, examples, labelNames: tags.finish(examples), skipped }
}
