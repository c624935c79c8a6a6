/** The table of task sources: a new source is found by its name and listed with the others. */
import { expect, it, vi } from 'vitest'
import { type TaskSource, loadEvaluation, loadTask, taskNames } from '../../../finetuning/tasks/index.js'
import { singleLabel } from '../../../finetuning/tasks/classification/index.js'

const data = { source: 'nowhere', examples: [{ text: 'a', label: 0, row: 1 }], labelNames: ['no', 'yes'], skipped: [] }
const scored = { taskType: singleLabel, metrics: ['f1'], selectionMetric: 'f1', evaluation: data } as const
const received = vi.hoisted(() => ({ options: [] as unknown[] }))

vi.mock('../../../finetuning/tasks/sources.js', async (original) => {
  const { taskSources } = await original<{ readonly taskSources: readonly TaskSource[] }>()
  const fake: TaskSource = {
    names: ['fake', 'mock', 'sham'],
    help: 'a task of this test',
    flags: [{ name: 'data', placeholder: 'folder', description: 'Data of the test' }],
    recognizes: (task) => ['fake', 'mock', 'sham'].includes(task),
    load: async (options) => {
      received.options.push(options)
      return { ...scored, name: options.task, train: data, labelNames: data.labelNames, heldOut: false }
    },
    loadEvaluation: async () => scored,
  }
  const nameless: TaskSource = { ...fake, names: [], help: 'a number', recognizes: (task) => /^\d+$/.test(task) }
  return { taskSources: [...taskSources, fake, nameless] }
})

it('finds the source of a task by name or by recognition, and passes it all options', async () => {
  const options = { task: 'sham', data: 'folder', holdOutSeed: 7 }
  expect(await loadTask(options)).toMatchObject({ name: 'sham', metrics: ['f1'], train: data, evaluation: data })
  expect(received.options).toEqual([options])
  expect(await loadEvaluation({ task: 'fake' })).toEqual(scored)
  expect(await loadTask({ task: '42' })).toMatchObject({ name: '42' })
})

it('refuses an option of another source instead of ignoring it', async () => {
  await expect(loadTask({ task: 'sham', textPair: 'b' })).rejects.toMatchObject({
    message: 'textPair: expected none with task sham, got "b"',
    kind: 'usage',
  })
})

it('refuses an unknown task and lists the names of all sources', async () => {
  const line =
    'task: expected cola, sst2, mrpc, stsb, rte, qnli, qqp, mnli, wnli, yelp, gyafc, sentiment, alpaca, preference, choice, text, fake, mock or sham, or a .tsv, .csv, .jsonl, .json or .parquet file, or a number, got "feka"'
  for (const load of [loadTask, loadEvaluation])
    await expect(load({ task: 'feka' })).rejects.toMatchObject({ message: line, kind: 'usage' })
  expect(taskNames.slice(-4)).toEqual(['text', 'fake', 'mock', 'sham'])
})
