/**
 * A task is one folder and one line in a table, and nothing else is changed. The folder extensionPoints/grades/ reads rows, makes tokens, has an
 * objective, metrics and predictions of its own. Every command that trains, looks at data, or uses a run then knows the task.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { summaryText } from '../../cli/format/summary.js'
import { exportAdapter } from '../../finetuning/use/exportAdapter.js'
import { loadRunEvaluation, scoreTrained } from '../../finetuning/use/scoreAdapter.js'
import { openTrainedAdapter, loadTrainedModel } from '../../finetuning/use/openModel.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { loadTask } from '../../finetuning/tasks/index.js'
import { refusalOf } from '../support/refusal.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraHere } from './inProcess.js'
import { writeTinyModel } from './tinyModel.js'
import { toyRows } from './toyTask.js'

vi.mock('../../finetuning/tasks/table.js', async (original) => {
  const { tasks } = await original<{ readonly tasks: readonly unknown[] }>()
  const { grades } = await import('./extensionPoints/grades/index.js')
  return { tasks: [...tasks, grades] }
})

const essays = (count: number): string =>
  toyRows(count).reduce((file, { text, label }) => `${file}${label === 'good' ? 'good' : 'poor'} | ${text}\n`, '')
const scores = { exactGrade: 1, withinOne: 1 }

const { folder: root } = temporaryFolder('grades')
let result: RunResult
const warnings: string[] = []
const at = (...names: readonly string[]): string => join(root, ...names)
const adapter = (): string => at('run', 'adapter')
beforeAll(async () => {
  await writeTinyModel(at('tiny'))
  await writeFile(at('year.essays'), essays(24))
  await writeFile(at('day.essays'), essays(8))
  const task = { task: 'essays', data: at('year.essays'), evalData: at('day.essays') }
  const settings = resolveSettings({ method: 'lora', device: 'cpu', maxLength: 16, batchSize: 8, epochs: 40, learningRate: 0.02 })
  const options = { model: at('tiny'), task, output: at('run'), resume: false, settings }
  for await (const event of finetuneJob(options, new AbortController().signal)) {
    if (event.kind === 'warning') warnings.push(event.message)
    if (event.kind === 'result') result = event.result
  }
})

describe('a new task', () => {
  it('trains, scores a run by its own metrics, selects by one of them, and is stored by its name', async () => {
    expect(warnings).toContain('essays are graded by number')
    expect(summaryText(result, null, { color: false })).toContain('salora predict --run')
    expect(result).toMatchObject({ taskType: 'grades', selectedBy: 'exactGrade', majority: null, best: { scores } })
    expect(Object.keys(result.last.scores)).toEqual(['exactGrade', 'withinOne'])
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

  it('is evaluated, and has an entry of its own in --help', async () => {
    const evaluated = await saloraHere('evaluate', '--run', at('run'), '--json')
    expect(JSON.parse(evaluated.stdout)).toMatchObject({ scores, examples: 8 })
    expect((await saloraHere('train', '--help-all')).stdout.replaceAll(/\s+/g, ' ')).toContain(
      'essays: file of a grade, " | " and an essay',
    )
    const trainedModel = await loadTrainedModel({ model: at('tiny'), adapter: adapter() })
    const machine = { precision: 'float32', threads: 0, batchSize: 8, maxLength: 16 }
    const data = { task: 'essays', data: at('year.essays'), evalData: at('day.essays') }
    const scored = await scoreTrained(trainedModel, await loadRunEvaluation(data), machine, findDevice('cpu'))
    expect(scored).toMatchObject({ scores, examples: 8, byClass: null, confusion: null })
  })

  it('predicts, as JSON, as CSV and in a program', async () => {
    const text = 'good fine great film number 2'
    await writeFile(at('new.csv'), `text\n${text}\n`)
    const [json, csv] = [
      await saloraHere('predict', '--run', at('run'), '--input', at('new.csv')),
      await saloraHere('predict', '--run', at('run'), '--input', at('new.csv'), '--to', 'csv'),
    ]
    expect(JSON.parse(json.stdout)).toMatchObject({ grade: 'good' })
    expect(csv.stdout).toBe(`text,grade,error\n${text},good,\n`)
    const opened = await openTrainedAdapter({ model: at('tiny'), adapter: adapter(), device: 'cpu', maxLength: 16 })
    expect(await opened.predictions([{ text }, { text: 'bad awful poor film number 1' }]).finally(opened.release)).toEqual([
      { grade: 'good' },
      { grade: 'poor' },
    ])
  })

  it('is exported, with its warning, and an export for transformers.js is compared on its texts', async () => {
    const options = { model: at('tiny'), adapter: adapter(), maxLength: 16, targeted: null } as const
    const merged = await exportAdapter({ ...options, output: at('merged'), format: 'merged', precision: 'float32' })
    expect(merged.warnings).toEqual(['round the value to a grade'])
    const onnx = await saloraHere('export', '--run', at('run'), '--format', 'transformers.js', '--output', at('onnx'), '--json')
    expect(onnx.code, onnx.stderr).toBe(0)
  })

  it('shows in a report, its data in inspect, and its worst errors beside the run', async () => {
    const { code, stderr } = await saloraHere('report', at('run'), '--output', at('report.html'))
    expect(code, stderr).toBe(0)
    const page = await readFile(at('report.html'), 'utf8')
    expect(['essays', 'exactGrade'].filter((shown) => !page.includes(shown))).toEqual([])
    const inspected = await saloraHere('inspect', '--task', 'essays', '--data', at('year.essays'), '--json')
    expect(JSON.parse(inspected.stdout)).toMatchObject({ sets: [{ rows: 24 }] })
    expect(await readFile(at('run', 'evaluation.json'), 'utf8')).toContain('"label":"good","predicted":"good"')
  })

  it('names the line of a wrong row, and refuses options of other tasks', async () => {
    await writeFile(at('wrong.essays'), 'good | a\ngreat | b\n')
    expect(await refusalOf(() => loadTask({ task: 'essays', data: at('wrong.essays') }))).toBe(
      `${at('wrong.essays')}, row 2: expected a grade (poor, fair or good) and " | ", got "great | b"`,
    )
    expect(await refusalOf(() => loadTask({ task: 'essays', data: at('year.essays'), loss: 'dpo' }))).toBe(
      '--loss: expected none with --task essays, got "dpo"',
    )
  })

  it('reads the labels of a file by --problem-type, and refuses the options that it does not have', async () => {
    const file = at('essays.csv')
    await writeFile(file, ['text,label', ...Array.from({ length: 30 }, (_, i) => `essay ${i},${i % 3}`)].join('\n'))
    expect(await loadTask({ task: file, problemType: 'grades' })).toMatchObject({ metrics: ['exactGrade'], selectionMetric: 'exactGrade' })
    expect(await refusalOf(() => loadTask({ task: file, problemType: 'grades', positiveLabel: '2' }))).toBe(
      '--positive-label: expected none, as grades have an order, got "2"',
    )
    expect(await refusalOf(() => loadTask({ task: file, problemType: 'marks' }))).toBe(
      '--problem-type: expected classification, regression, multi-label, token-classification, similarity, pairs, rerank or grades, got "marks"',
    )
  })
})

it('an adapter of a task type that this version does not have is refused by name', async () => {
  const names = { labelNames: null, taskType: 'ranking', problemType: 'regression' }
  await writeFile(join(adapter(), 'salora.json'), JSON.stringify(names))
  expect(await refusalOf(() => loadTrainedModel({ model: at('tiny'), adapter: adapter() }))).toBe(
    `${adapter()}: expected one of the task types classification, regression, multi-label, token-classification, similarity, pairs, rerank, causal, preference, choice, grades, got "ranking"`,
  )
})
