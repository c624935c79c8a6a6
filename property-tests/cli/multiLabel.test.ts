/** Multi-label classification, from the file to predictions and to other tools. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { RunResult } from '../../finetuning/run/run.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { salora, type Finished } from './spawnSalora.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('labels', {})
let trained: Finished
beforeAll(async () => {
  const rows = Array.from({ length: 80 }, (_, i) => {
    const label = [...(i % 2 === 0 ? ['good'] : []), ...(i % 4 < 2 ? ['long'] : [])]
    return JSON.stringify({ text: `${i % 2 === 0 ? 'good fine great' : 'poor'} film ${i % 4 < 2 ? 'hours and hours' : ''} ${i}`, label })
  })
  await writeFile(join(cwd, 'films.jsonl'), rows.join('\n'))
  const flags =
    '--problem-type multi-label --metric-for-best-model loss --method lora --max-length 16 --max-steps 60 --batch-size 8 --learning-rate 0.005 --eval-steps 20 --device cpu'.split(
      ' ',
    )
  trained = await salora(['train', '--model', 'tiny', '--task', 'films.jsonl', '--output', 'run', '--quiet', '--json', ...flags], { cwd })
})

describe('--problem-type multi-label', () => {
  it('trains a head with an independent decision for each label', () => {
    expect([trained.code, trained.stderr]).toEqual([0, ''])
    const { best, majority, selectedBy } = JSON.parse(trained.stdout) as RunResult
    expect([Object.keys(best?.scores ?? {}), majority, selectedBy]).toEqual([['accuracy', 'microF1', 'macroF1', 'loss'], null, 'loss'])
    expect(best?.scores['loss']).toBeLessThan(0.65) // log 2 = 0.693 before it has learned anything
  })

  it('gives the scores of the run in salora evaluate, by label and without a confusion matrix', async () => {
    const { best } = JSON.parse(trained.stdout) as RunResult
    const { stdout } = await saloraIn(['evaluate', '--run', 'run', '--json', '--quiet'], { cwd })
    expect(JSON.parse(stdout)).toMatchObject({ scores: best?.scores, confusion: null, byClass: [{ label: 'good' }, { label: 'long' }] })
    const text = (await saloraIn(['evaluate', '--run', 'run', '--quiet'], { cwd })).stdout
    expect(text).toMatch(/^microF1 +[01]\.\d{4}$/m)
    expect(text).toMatch(/^class +precision +recall +f1 +examples$/m)
  })

  it('predicts every label with a probability above a half', async () => {
    const { stdout } = await saloraIn(['predict', '--run', 'run', '--quiet'], {
      cwd,
      input: 'good fine great film hours and hours 1\npoor film 2\n',
    })
    const answers = jsonLines<{ labels: string[]; scores: Record<string, number> }>(stdout)
    for (const { labels, scores } of answers) {
      expect(Object.keys(scores)).toEqual(['good', 'long'])
      expect(labels).toEqual(Object.keys(scores).filter((name) => (scores[name] ?? 0) > 0.5))
    }
    expect(answers[0]?.scores['good']).toBeGreaterThan(answers[1]?.scores['good'] ?? NaN)
  })

  it('is exported with the problem type of transformers, and loads with it', async () => {
    await saloraIn(['export', '--run', 'run', '--format', 'merged', '--output', 'merged', '--quiet'], { cwd })
    expect(JSON.parse(await readFile(join(cwd, 'merged', 'config.json'), 'utf8'))).toMatchObject({
      problem_type: 'multi_label_classification',
      id2label: { 0: 'good', 1: 'long' },
    })
  })
})
