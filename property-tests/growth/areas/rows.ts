/** Data files: rows, columns and classes. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packed } from '../../../finetuning/tasks/texts/packing.js'
import { batchesOfEpoch } from '../../../accelerated/training/batchOrder.js'
import { inspectData } from '../../../finetuning/inspection/inspectData.js'
import { detailsFrom } from '../../../finetuning/runs/evaluationDetails.js'
import { runRowsOf } from '../../../finetuning/runs/runRows.js'
import { loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { tokenize } from '../../../finetuning/tasks/sequences/tokens.js'
import { parquetFile, plainTexts } from '../../support/parquetFile.js'
import type { Grown } from '../measured.js'
import { embeddedTokenizer, sentence, times } from '../made.js'

const csv = (rows: number, columns = 2, classes = 3): string =>
  [
    ['text', 'label', ...times(columns - 2, (i) => `more ${i}`)].join(','),
    ...times(rows, (i) => [`"${sentence(i, 12)}"`, `class ${i % classes}`, ...times(columns - 2, (j) => `${i * j}`)].join(',')),
  ].join('\n')

const options = (file: string): TaskOptions => ({ task: file, text: 'text', label: 'label' }) as TaskOptions

/** Reads a file that is written before. */
const reading = (what: string, ending: string, from: number, content: (rows: number) => string): Grown => ({
  what,
  of: 'rows',
  from,
  prepare: async (size, folder) => {
    const file = join(folder, `rows.${ending}`)
    await writeFile(file, content(size))
    return () => loadTask(options(file))
  },
})

const loaded = async (size: number, folder: string) => {
  const file = join(folder, 'rows.csv')
  await writeFile(file, csv(size))
  return loadTask(options(file))
}

export const rows: ReadonlyArray<Grown> = [
  reading('read a CSV file', 'csv', 8_000, (size) => csv(size)),
  reading('read a JSON-lines file', 'jsonl', 8_000, (size) =>
    times(size, (i) => JSON.stringify({ text: sentence(i, 12), label: `class ${i % 3}` })).join('\n'),
  ),
  reading('read a JSON file', 'json', 8_000, (size) =>
    JSON.stringify(times(size, (i) => ({ text: sentence(i, 12), label: `class ${i % 3}` }))),
  ),
  {
    what: 'read a Parquet file',
    of: 'rows',
    from: 8_000,
    prepare: async (size, folder) => {
      const file = join(folder, 'rows.parquet')
      await writeFile(file, parquetFile({ content: plainTexts(times(size, (i) => sentence(i, 12))), rows: size }))
      return () => loadTask({ task: 'text', data: file, text: 'text' } as TaskOptions)
    },
  },
  {
    what: 'read a CoNLL file',
    of: 'sentences',
    from: 2_000,
    prepare: async (size, folder) => {
      const file = join(folder, 'rows.conll')
      const words = (i: number): string => times(12, (j) => `word${(i * j) % 977} ${j % 4 === 0 ? 'B-X' : 'O'}`).join('\n')
      await writeFile(file, times(size, words).join('\n\n'))
      return () => loadTask({ task: file } as TaskOptions)
    },
  },
  {
    what: 'read a CSV file of 200 rows',
    of: 'columns',
    from: 400,
    prepare: async (size, folder) => {
      const file = join(folder, 'rows.csv')
      await writeFile(file, csv(200, size))
      return () => loadTask(options(file))
    },
  },
  {
    what: 'read a CSV file of as many classes as rows',
    of: 'classes',
    from: 800,
    prepare: async (size, folder) => {
      const file = join(folder, 'rows.csv')
      await writeFile(file, csv(4 * size, 2, size))
      return () => loadTask(options(file))
    },
  },
  {
    what: 'inspect a CSV file',
    of: 'rows',
    from: 8_000,
    prepare: async (size, folder) => {
      const file = join(folder, 'rows.csv')
      await writeFile(file, csv(size))
      return () => inspectData({ task: options(file), maxLength: 64 })
    },
  },
  {
    what: 'inspect a CSV file of many classes',
    of: 'classes',
    from: 200,
    prepare: async (size, folder) => {
      const file = join(folder, 'rows.csv')
      await writeFile(file, csv(10 * size, 2, size))
      return () => inspectData({ task: options(file), maxLength: 64 })
    },
  },
  {
    what: 'tokenize rows',
    of: 'rows',
    from: 8_000,
    prepare: async (size, folder) => {
      const { train } = await loaded(size, folder)
      const { tokenizer, vocabularySize } = await embeddedTokenizer()
      const work = () => tokenize(tokenizer, vocabularySize, train.examples, 64)
      work() // fills the cache of words
      return work
    },
  },
  {
    what: 'order the batches of an epoch',
    of: 'rows',
    from: 16_000,
    prepare: async (size) => {
      const lengths = Int32Array.from({ length: size }, (_, i) => 5 + ((i * 7_919) % 120))
      return () => batchesOfEpoch(0, 0, lengths, 16)
    },
  },
  {
    what: 'pack texts into rows',
    of: 'texts',
    from: 4_000,
    prepare: async (size) => {
      const texts = times(size, (row) => {
        const inputIds = new Int32Array(5 + ((row * 7_919) % 120))
        return { inputIds, targets: inputIds, row }
      })
      return () => packed(texts, 256)
    },
  },
  {
    what: 'remember the rows of a run',
    of: 'rows',
    from: 2_000,
    prepare: async (size, folder) => {
      const task = await loaded(size, folder)
      return () => runRowsOf(task)
    },
  },
  {
    what: 'report an evaluation and its worst errors',
    of: 'rows',
    from: 4_000,
    prepare: async (size, folder) => {
      const data = await loaded(10 * size, folder)
      const { examples } = data.evaluation // a tenth is held out
      const answers = examples.map((_, i) => [Math.sin(i), Math.cos(i), Math.sin(2 * i)])
      return () => detailsFrom(data.taskType.bind(data), examples)(answers)
    },
  },
]
