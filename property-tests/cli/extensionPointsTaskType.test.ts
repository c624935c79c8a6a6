/**
 * A task type is one new file and one line in a table, and nothing else is changed. A run trains on it, scores it and stores it. Its adapter is
 * evaluated, predicted with, exported and described.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { resolveSettings } from '../../accelerated/training/settings.js'
import { openOutput } from '../../cli/format/answers.js'
import { summaryText } from '../../cli/format/summary.js'
import { exportAdapter } from '../../finetuning/adapters/exportAdapter.js'
import { evaluationOfRun } from '../../finetuning/adapters/runEvaluation.js'
import { scoreTrained } from '../../finetuning/adapters/scoreAdapter.js'
import { openTrainedAdapter } from '../../finetuning/adapters/trainedAdapter.js'
import { loadTrainedModel } from '../../finetuning/adapters/trainedModel.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { RunResult } from '../../finetuning/runs/run.js'
import { loadTask } from '../../finetuning/tasks/index.js'
import { taskTypeOf } from '../../finetuning/tasks/taskTypeOf.js'
import { refusalOf } from '../support/refusal.js'
import { writeTinyModel } from './tinyModel.js'

vi.mock('../../finetuning/tasks/table.js', async (original) => {
  const { grades } = await import('./extensionPoints/grades.js')
  return { taskTypes: [...(await original<{ readonly taskTypes: ReadonlyArray<unknown> }>()).taskTypes, grades] }
})
vi.mock('../../finetuning/tasks/sources.js', async (original) => {
  const { essays } = await import('./extensionPoints/grades.js')
  return { taskSources: [...(await original<{ readonly taskSources: ReadonlyArray<unknown> }>()).taskSources, essays] }
})

let root = ''
let result: RunResult
const model = () => join(root, 'tiny')
const adapter = () => join(root, 'run', 'adapter')
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-grades-'))
  await writeTinyModel(model())
  const settings = resolveSettings({ method: 'lora', device: 'cpu', maxLength: 16, batchSize: 8, epochs: 40, learningRate: 0.02 })
  const options = { model: model(), task: { task: 'essays' }, output: join(root, 'run'), resume: false, settings }
  for await (const event of finetuneJob(options, new AbortController().signal)) if (event.kind === 'result') result = event.result
})
afterAll(() => rm(root, { recursive: true }))

describe('a new task type', () => {
  it('scores a run by its own metrics, selects by one of them, and is stored by its name', async () => {
    expect(result).toMatchObject({ taskType: 'grades', selectedBy: 'exactGrade', majority: null })
    expect(Object.keys(result.last.scores)).toEqual(['exactGrade', 'withinOne'])
    expect(result.best?.scores['exactGrade']).toBe(1)
    expect(JSON.parse(await readFile(join(adapter(), 'salora.json'), 'utf8'))).toEqual({
      labelNames: null,
      taskType: 'grades',
      problemType: 'regression',
    })
  })

  it('is described in the model card, its metrics by their names', async () => {
    const card = await readFile(join(adapter(), 'README.md'), 'utf8')
    expect(card).toContain('- task: `essays`, a grading')
    expect(card).toContain('pipeline_tag: text-classification')
    expect(card).toMatch(/\| exactGrade \| 1\.0000 \|/)
  })

  it('is restored from its adapter, which is evaluated and predicts by the task type', async () => {
    const trained = await loadTrainedModel({ model: model(), adapter: adapter() })
    const machine = { precision: 'float32', threads: 0, batchSize: 8, maxLength: 16 }
    const scored = await scoreTrained(trained, await evaluationOfRun({ task: 'essays' }), machine, deviceOf('cpu'))
    expect(scored).toMatchObject({ scores: { exactGrade: 1, withinOne: 1 }, examples: 8, byClass: null, confusion: null })
    const opened = await openTrainedAdapter({ model: model(), adapter: adapter(), device: 'cpu', maxLength: 16 })
    const { predictions } = taskTypeOf(opened.outputs, adapter())
    const text = 'good fine great film number 2'
    const [output = []] = await opened.predict([{ text }]).finally(opened.release)
    const written: string[] = []
    const csv = openOutput('csv', {}, { columns: predictions?.columns ?? [], classes: [] }, (line) => written.push(line))
    csv.write({ text }, predictions?.predict(output, ['value'], { text }) ?? { error: 'none' })
    expect(written.join('')).toBe(`text,grade,error\n${text},good,\n`)
  })

  it('adds its warning to an export, and names the command that uses the export', async () => {
    const options = { model: model(), adapter: adapter(), output: join(root, 'merged'), maxLength: 16, targeted: null } as const
    const { warnings } = await exportAdapter({ ...options, format: 'merged', precision: 'float32' })
    expect(warnings).toEqual(['round the value to a grade'])
    expect(summaryText(result, null, { color: false })).toContain('salora predict --run')
  })

  it('reads the labels of a file by --problem-type, and refuses the options that it does not have', async () => {
    const file = join(root, 'essays.csv')
    await writeFile(file, ['text,label', ...Array.from({ length: 30 }, (_, i) => `essay ${i},${i % 3}`)].join('\n'))
    expect(await loadTask({ task: file, problemType: 'grades' })).toMatchObject({ metrics: ['exactGrade'], selectionMetric: 'exactGrade' })
    expect(await refusalOf(() => loadTask({ task: file, problemType: 'grades', positiveLabel: '2' }))).toBe(
      '--positive-label: expected none, as grades have an order, got "2"',
    )
    expect(await refusalOf(() => loadTask({ task: file, problemType: 'marks' }))).toBe(
      '--problem-type: expected classification, regression, multi-label, token-classification, similarity, pairs or grades, got "marks"',
    )
  })
})

it('an adapter of a task type that this version does not have is refused by name', async () => {
  const names = { labelNames: null, taskType: 'ranking', problemType: 'regression' }
  await writeFile(join(adapter(), 'salora.json'), JSON.stringify(names))
  expect(await refusalOf(() => loadTrainedModel({ model: model(), adapter: adapter() }))).toBe(
    `${adapter()}: expected one of the task types classification, regression, multi-label, token-classification, similarity, pairs, causal, preference, choice, grades, got "ranking"`,
  )
})
