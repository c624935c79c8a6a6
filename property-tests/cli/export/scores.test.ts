/** An export in int8 is scored on the run's evaluation rows: the command and the model card say what the rounding costs. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ExportReport } from '../../../finetuning/use/exportAdapter.js'
import { saloraIn } from '../inProcess.js'
import { toyFolder, toyTrain } from '../toyFolder.js'
import { toyRows } from '../toyTask.js'

const cwd = toyFolder('export-scores', { 'toy.tsv': 40, 'dev.tsv': 12 })
const salora = (...args: readonly string[]) => saloraIn([...args, '--quiet'], { cwd })

beforeAll(async () => {
  env.allowRemoteModels = false
  const trained = await salora(
    ...toyTrain,
    ...'--eval-data dev.tsv --method lora --max-steps 8 --batch-size 8 --learning-rate 1e-2 --output run'.split(' '),
  )
  expect(trained.code, trained.stderr).toBe(0)
})

const exported = async (precision: string): Promise<ExportReport> => {
  const { code, stdout, stderr } = await salora(
    ...'export --run run --format transformers.js --precision'.split(' '),
    precision,
    '--output',
    precision,
    '--json',
  )
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout) as ExportReport
}

describe('an export in int8', () => {
  it('reports the scores of salora evaluate, and those of the answers that the pipeline of transformers.js gives', async () => {
    const { scores } = await exported('int8')
    const evaluated = JSON.parse((await salora('evaluate', '--run', 'run', '--json')).stdout) as { readonly scores: Record<string, number> }
    expect(scores).toMatchObject({ rows: 12, ofRows: 12 })
    for (const [name, score] of Object.entries(evaluated.scores)) expect(scores?.before[name], name).toBeCloseTo(score, 5)
    const classify = await pipeline('text-classification', join(cwd, 'int8'), { dtype: 'q8', device: 'cpu', local_files_only: true })
    const rows = toyRows(12)
    const answers = (await classify(
      rows.map(({ text }) => text),
      { top_k: 2 },
    )) as unknown as readonly (readonly { readonly label: string; readonly score: number }[])[]
    await classify.dispose()
    const right = rows.filter(({ label }, i) => answers[i]?.[0]?.label === label).length
    expect(scores?.after['accuracy']).toBeCloseTo(right / rows.length, 6)
    const losses = rows.map(({ label }, i) => -Math.log(answers[i]?.find((answer) => answer.label === label)?.score ?? NaN))
    expect(scores?.after['loss']).toBeCloseTo(losses.reduce((a, b) => a + b, 0) / rows.length, 4)
    expect(scores?.after['loss']).not.toBe(scores?.before['loss'])
  })

  it('says the scores in its output and in its card, before the data; an export in float32 has none', async () => {
    const { stdout } = await salora('export', '--run', 'run', '--format', 'transformers.js', '--precision', 'int8', '--output', 'again')
    const [, before = '', after = ''] =
      /\nscores on 12 rows of .*dev\.tsv:\n(?:.*\n)*? {2}accuracy {4}(\d\.\d{4}) → (\d\.\d{4}) in int8\n/.exec(stdout) ?? []
    expect(before).not.toBe('')
    const card = await readFile(join(cwd, 'again', 'README.md'), 'utf8')
    expect(card).toContain(
      `## Precision\n\nThis export is in int8. On 12 rows of \`dev.tsv\`:\n\n| metric | float32 | int8 |\n| --- | --- | --- |\n| Accuracy | ${before} | ${after} |\n`,
    )
    expect(card.indexOf('## Use')).toBeLessThan(card.indexOf('## Precision'))
    expect(card.indexOf('## Precision')).toBeLessThan(card.indexOf('## Data'))
    expect((await exported('float32')).scores).toBeNull()
    expect(await readFile(join(cwd, 'float32', 'README.md'), 'utf8')).not.toContain('## Precision')
  })
})
