/**
 * The real GLUE files of ../shared/data/glue. Row counts are those of its SOURCES.md, and label counts those of `cut | sort | uniq -c`.
 * Labels and texts have the hash that Python made (utf-8-sig, split at '\n' and '\t', without the csv module).
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  GLUE_TASKS,
  glueFile,
  glueLabelNames,
  readGlue,
  type Dataset,
  type GlueName,
  type GlueSplit,
} from '../../../finetuning/data/index.js'
import { loadTask } from '../../../finetuning/tasks/index.js'
import { majorityClass } from '../../../finetuning/metrics/index.js'
import { singleLabel } from '../../../finetuning/tasks/classification/index.js'

const glue = join(import.meta.dirname, '../../../../shared/data/glue')

const read = (name: GlueName, split: GlueSplit): Dataset => readGlue(name, glueFile(name, split, glue))

const classCounts = ({ examples, labelNames }: Dataset) =>
  labelNames?.map((_, label) => examples.filter((example) => example.label === label).length)

const hash = ({ examples }: Dataset): string => {
  const lines = examples.map(({ label, text, textPair }) => `${label}\t${text}${textPair === undefined ? '' : `\t${textPair}`}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex').slice(0, 16)
}

const onFiles = (name: GlueName) => {
  const present = existsSync(join(glue, GLUE_TASKS[name].folder, GLUE_TASKS[name].trainFile))
  return { test: it.skipIf(!present), suffix: present ? '' : ` (skipped: ../shared/data/glue/${GLUE_TASKS[name].folder} is absent)` }
}

const CASES: readonly {
  name: GlueName
  split: GlueSplit
  rows: number
  classes: readonly number[] | undefined
  sha256?: string
}[] = [
  { name: 'cola', split: 'train', rows: 8551, classes: [2528, 6023] },
  { name: 'cola', split: 'dev', rows: 1043, classes: [322, 721], sha256: '8af2d7fd51628cb7' },
  { name: 'sst2', split: 'train', rows: 67349, classes: [29780, 37569], sha256: 'd6d6db63b0850e9d' },
  { name: 'sst2', split: 'dev', rows: 872, classes: [428, 444] },
  { name: 'mrpc', split: 'train', rows: 3668, classes: [1194, 2474], sha256: 'db449a843c950704' },
  { name: 'mrpc', split: 'dev', rows: 408, classes: [129, 279] },
  { name: 'stsb', split: 'train', rows: 5749, classes: undefined, sha256: '22e3785f3951261b' },
  { name: 'stsb', split: 'dev', rows: 1500, classes: undefined },
  { name: 'qnli', split: 'train', rows: 9999, classes: [5027, 4972] },
  { name: 'qnli', split: 'dev', rows: 5463, classes: [2702, 2761], sha256: '2d9c3eee142fb2cc' },
  { name: 'qqp', split: 'train', rows: 22869, classes: [14360, 8509], sha256: 'c9051d385eef7ffe' },
  { name: 'qqp', split: 'dev', rows: 9999, classes: [6370, 3629] },
  { name: 'mnli', split: 'train', rows: 9999, classes: [3408, 3313, 3278] },
  { name: 'mnli', split: 'dev', rows: 9815, classes: [3479, 3123, 3213], sha256: 'b3c32534e3e33726' },
]

describe('readGlue on the official files', () => {
  for (const { name, split, rows, classes, sha256 } of CASES) {
    const { test, suffix } = onFiles(name)
    test(`reads all ${rows} rows of ${name} ${split}, with their labels and texts${suffix}`, () => {
      const data = read(name, split)
      expect(data.examples).toHaveLength(rows)
      expect(data.skipped).toEqual([])
      expect(data.labelNames).toEqual(glueLabelNames(name))
      expect(classCounts(data)).toEqual(classes)
      if (sha256 !== undefined) expect(hash(data)).toBe(sha256)
    })
  }
})

describe('the official GLUE files', () => {
  const cola = onFiles('cola')
  cola.test(`give a constant "acceptable" an accuracy of 69.1 % on CoLA dev${cola.suffix}`, () => {
    expect(majorityClass(read('cola', 'dev').examples.map(({ label }) => label)).share).toBeCloseTo(0.691, 3)
  })

  const mrpc = onFiles('mrpc')
  mrpc.test(`give a constant "equivalent" an accuracy of 68.4 % on MRPC dev${mrpc.suffix}`, () => {
    expect(majorityClass(read('mrpc', 'dev').examples.map(({ label }) => label))).toEqual({ label: 1, count: 279, share: 279 / 408 })
    expect(279 / 408).toBeCloseTo(0.684, 3)
  })

  mrpc.test(`load MRPC as a task with train, dev, metrics and classes${mrpc.suffix}`, async () => {
    const task = await loadTask({ task: 'mrpc', data: glue })
    expect([task.train.examples.length, task.evaluation.examples.length]).toEqual([3668, 408])
    expect(task).toMatchObject({
      taskType: singleLabel,
      metrics: ['accuracy', 'f1'],
      selectionMetric: 'mean',
      labelNames: ['not_equivalent', 'equivalent'],
      heldOut: false,
    })
    expect(task.train.examples[0]?.text).toBe(
      'Amrozi accused his brother , whom he called " the witness " , of deliberately distorting his evidence .',
    )
  })

  const sst2 = onFiles('sst2')
  sst2.test(`include SST-2's test.tsv, which readGlue refuses because its header has no labels${sst2.suffix}`, () => {
    expect(() => readGlue('sst2', join(glue, 'SST-2/test.tsv'))).toThrow(
      /test\.tsv, row 1: expected a column "label", got the columns "index", "sentence"$/,
    )
  })
})
