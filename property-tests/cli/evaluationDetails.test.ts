/** evaluation.json of a run: what evaluate and predict say of the kept checkpoint, with hostile texts in this file and in no other. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { errorLimit, readDetails, textLimit, type EvaluationDetails } from '../../finetuning/run/evaluationDetails.js'
import { readRunResult } from '../../finetuning/run/runFiles.js'
import { makeReport } from '../../reporting/report/makeReport.js'
import { saloraIn } from './inProcess.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('details', {})
const at = (...path: readonly string[]): string => join(cwd, ...path)
const hostile = '</td><script>alert(1)</script><img src=x onerror=alert(2)> \u202e film'
/** Texts that say nothing about their labels, so that many predictions are wrong. */
const rows = (count: number, offset: number) =>
  Array.from({ length: count }, (_, i) => ({
    text: i === 3 ? hostile : i === 4 ? `film ${'long '.repeat(200)}` : `secret${offset + i} ${i % 3 === 0 ? 'good' : 'poor'} film ${i}`,
    label: ['bad', 'fine', 'good'][(i * 7 + offset) % 3] ?? '',
    score: i % 5,
  }))
const evaluation = rows(120, 1)
const lines = (of: readonly object[]): string => of.map((row) => JSON.stringify(row)).join('\n')

const train = async (output: string, ...more: readonly string[]): Promise<EvaluationDetails> => {
  const settings = ['--max-length', '16', '--max-steps', '12', '--eval-steps', '4', '--batch-size', '8', '--learning-rate', '0.02']
  const args = ['--model', 'tiny', '--task', 'train.jsonl', '--eval-data', 'dev.jsonl', '--method', 'lora', '--device', 'cpu']
  const { code, stderr } = await saloraIn(['train', ...args, ...settings, '--output', output, '--quiet', ...more], { cwd })
  expect([code, stderr.replace(/^warning: .*\n/gm, '')]).toEqual([0, ''])
  const details = await readDetails(at(output))
  if (details === null) throw new Error(`expected ${output}/evaluation.json, got none`)
  return details
}

let details: EvaluationDetails
beforeAll(async () => {
  await writeFile(at('train.jsonl'), lines(rows(64, 0)))
  await writeFile(at('dev.jsonl'), lines(evaluation))
  details = await train('run')
})

describe('evaluation.json', () => {
  it('has the scores by class and the confusion matrix that salora evaluate computes from adapter/', async () => {
    const { stdout } = await saloraIn(['evaluate', '--run', 'run', '--json', '--quiet'], { cwd })
    const { byClass, confusion } = JSON.parse(stdout) as EvaluationDetails
    expect({ byClass: details.byClass, confusion: details.confusion }).toEqual({ byClass, confusion })
    expect(details.step).toBe((await readRunResult(at('run')))?.kept?.step)
    expect(details.confusion?.flat().reduce((a, b) => a + b, 0)).toBe(evaluation.length)
  })

  it('has the worst errors, by the probabilities that salora predict gives, with their rows and at most 300 characters', async () => {
    const { stdout } = await saloraIn(['predict', '--run', 'run', '--json', '--quiet'], {
      cwd,
      input: evaluation.map(({ text }) => text).join('\n'),
    })
    const predictions = JSON.parse(stdout) as readonly { readonly label: string; readonly scores: Readonly<Record<string, number>> }[]
    const errors = evaluation
      .map(({ text, label }, i) => ({ text, label, row: i + 1, predicted: predictions[i]?.label, p: predictions[i]?.scores[label] ?? NaN }))
      .filter(({ label, predicted }) => label !== predicted)
      .sort((a, b) => a.p - b.p)
    expect(errors.length).toBeGreaterThan(errorLimit)
    expect(details.errors.length).toBe(errorLimit)
    details.errors.forEach(({ loss }, i) => expect(loss).toBeCloseTo(-Math.log(errors[i]?.p ?? NaN), 4))
    for (const { row, text = '', label, predicted } of details.errors) {
      const { text: whole, ...same } = errors.find((error) => error.row === row) ?? { text: '' }
      expect({ label, predicted }).toEqual({ label: 'label' in same && same.label, predicted: 'predicted' in same && same.predicted })
      expect(text).toBe(whole.length <= textLimit ? whole : `${whole.slice(0, textLimit - 1)}…`)
    }
  })

  it('tells salora inspect --run which labels may be wrong', async () => {
    const issues = details.errors.filter(({ labelIssue }) => labelIssue === true)
    expect(issues.length).toBeGreaterThan(0)
    const { code, stdout } = await saloraIn(['inspect', '--run', 'run'], { cwd })
    expect([code, stdout.split('\n')[0]]).toEqual([
      0,
      `these labels may be wrong (rows of ${at('dev.jsonl')}, at step ${details.step} of run):`,
    ])
    expect(
      [...stdout.matchAll(/^ *(\d+) {2}"(\w+)" +"(\w+)"/gm)].map(([, row, label, predicted]) => [Number(row), label, predicted]),
    ).toEqual(issues.map(({ row, label, predicted }) => [row, label, predicted]))
    expect((await saloraIn(['inspect', 'train.jsonl', '--run', 'run'], { cwd })).stderr).toContain(
      '--run: expected a run or a data file, got both',
    )
    expect((await saloraIn(['inspect', '--run', 'nowhere'], { cwd })).stderr).toContain(
      'nowhere: expected the folder of a run of salora train',
    )
  })

  it('is of the last checkpoint with --no-load-best-model-at-end', async () => {
    expect((await train('last', '--no-load-best-model-at-end')).step).toBe(12)
  })

  it('has the texts, and no other file of the run or of its adapter has them', async () => {
    expect(details.errors.some(({ text }) => /secret/.test(text ?? ''))).toBe(true)
    const files = (await readdir(at('run'), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
    expect(files.length).toBeGreaterThan(6)
    for (const { parentPath, name } of files) {
      const content = await readFile(join(parentPath, name), 'latin1')
      expect([name, content.includes('secret')]).toEqual([name, name === 'evaluation.json'])
    }
  })

  it('has the distance of numbers from their labels in a regression', async () => {
    const { byClass, confusion, errors } = await train('numbers', '--problem-type', 'regression', '--label', 'score')
    expect([byClass, confusion]).toEqual([null, null])
    const distances = errors.map(({ label, predicted }) => Math.abs(Number(label) - Number(predicted)))
    errors.forEach(({ loss }, i) => expect(loss).toBeCloseTo(distances[i] ?? NaN, 4))
    expect(distances).toEqual([...distances].sort((a, b) => b - a))
    const { selectedBy } = JSON.parse(await readFile(at('numbers/result.json'), 'utf8')) as { readonly selectedBy: string }
    expect(`the best ${selectedBy}`).toBe('the best mean of pearson and spearman')
  })
})

describe('a report', () => {
  const pageOf = async (folder: string) => {
    const result = await makeReport({ folders: [at(folder)], output: at('page.html'), figures: null })
    return { result, page: await readFile(at('page.html'), 'utf8') }
  }

  it('shows the confusion matrix, the scores by class, and hostile texts of errors as text', async () => {
    const first = { ...details.errors[0], text: hostile, label: hostile, predicted: hostile }
    await writeFile(at('run/evaluation.json'), JSON.stringify({ ...details, errors: [first, ...details.errors] }))
    const { page, result } = await pageOf('run')
    expect(result.tables.map(({ name }) => name)).toEqual(['classes', 'errors', 'scores', 'runs'])
    expect(page).toContain('data-chart="confusion-train-jsonl"')
    expect(page).toContain('&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x')
    expect(page).not.toMatch(/<img|<script>alert/)
    expect(page.match(/<script/g)?.length).toBe(2)
  })

  it('leaves out the evaluation of another checkpoint than the kept one', async () => {
    await writeFile(at('run/evaluation.json'), JSON.stringify({ ...details, step: details.step + 1 }))
    expect((await pageOf('run')).page).not.toContain('id="confusion"')
  })

  it.each([
    ['{"step": 4', /run\/evaluation\.json: expected JSON, got /],
    ['{"step": 4, "byClass": null, "confusion": [[-1]], "errors": []}', /run\/evaluation\.json: expected the evaluation of a run/],
  ])('skips an invalid file with one line: %s', async (content, message) => {
    await writeFile(at('run/evaluation.json'), content)
    expect((await pageOf('run')).result.skipped).toEqual([expect.stringMatching(message)])
  })
})
