/** GLUE from the hub's Parquet files as pyarrow writes them, by task and split (fixtures/make_glue_parquet.py). */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadEvaluation, loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const data = join(import.meta.dirname, 'fixtures/glue-parquet')
const refusal = (options: TaskOptions): Promise<string> => refusalOf(() => loadTask(options))
const { folder: root } = temporaryFolder('parquet')

describe("GLUE's Parquet", () => {
  it('reads the pairs and classes of a task, part after part, from the task folder or its parent', async () => {
    for (const folder of [data, join(data, 'mrpc')]) {
      const { train, evaluation, labelNames } = await loadTask({ task: 'mrpc', data: folder })
      expect(train.examples.map(({ text, textPair, label, row }) => [text, textPair, label, row])).toEqual([
        ['a 1', 'b 1', 1, 1],
        ['a 2', 'b 2', 0, 2],
        ['a 3', 'b 3', 1, 3],
      ])
      expect(evaluation.examples).toMatchObject([{ text: 'c 1', textPair: 'd 1', label: 1 }])
      expect(labelNames).toEqual(['not_equivalent', 'equivalent'])
    }
  })

  it('reads the scores of STS-B, including an empty text, and single texts', async () => {
    const { train } = await loadTask({ task: 'stsb', data })
    expect(train.examples.map(({ textPair, label }) => [textPair, label])).toEqual([
      ['y', expect.closeTo(3.8, 6)],
      ['', 0],
    ])
    const evalData = join(data, 'cola/train-00000-of-00001.parquet')
    expect((await loadTask({ task: 'cola', data, evalData })).train.examples.map(({ text }) => text)).toEqual(['good', 'bad'])
  })

  it('evaluates MNLI on matched and, separately, mismatched sentences, or on a named file', async () => {
    const { evaluation } = await loadTask({ task: 'mnli', data })
    expect(evaluation.examples).toMatchObject([
      { text: 'm', textPair: 'h', label: 0 },
      { text: 'mm', label: 1 },
    ])
    expect(evaluation.second).toEqual({ name: 'mismatched', from: 1 })
    const evalData = join(data, 'mnli/validation_mismatched-00000-of-00001.parquet')
    expect(await loadEvaluation({ task: 'mnli', evalData })).toMatchObject({
      evaluation: { examples: [{ text: 'mm', label: 1 }] },
    })
  })

  it('is refused if a part is missing, has no labels, or belongs to another task', async () => {
    await mkdir(join(root, 'mrpc'))
    await copyFile(join(data, 'mrpc/train-00001-of-00002.parquet'), join(root, 'mrpc/train-00001-of-00002.parquet'))
    expect(await refusal({ task: 'mrpc', data: root })).toMatch(
      /mrpc: expected 2 parts of train, as train-00001-of-00002\.parquet says, got 1$/,
    )
    expect(await refusal({ task: 'mrpc', data, evalData: join(data, 'mrpc/test-00000-of-00001.parquet') })).toMatch(
      /test-00000-of-00001\.parquet, row 1: expected a label of mrpc \(0 to 1\), got -1, which stands for none \(a test file\?\)$/,
    )
    expect(await refusal({ task: 'mrpc', data, evalData: join(data, 'mnli/train-00000-of-00001.parquet') })).toMatch(
      /mnli.*expected a column "sentence1"/,
    )
    expect(await refusal({ task: 'qnli', data })).toMatch(/expected train\.tsv of qnli here or in QNLI\/, got neither/)
  })
})
