/** Rerankers, from a file of graded texts to scores, and to transformers.js. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AutoModelForSequenceClassification, AutoTokenizer, env } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { rankGrades, normalizedGain, reciprocalRank } from '../../finetuning/metrics/ranking.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { loadTask } from '../../finetuning/tasks/index.js'
import { jsonLines } from '../support/jsonLines.js'
import { refusalOf } from '../support/refusal.js'
import { saloraIn } from './inProcess.js'
import { runJob } from './jobRun.js'
import { tinyConfig, writeTinyModel } from './tinyModel.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('reranking', {})
const at = (name: string): string => join(cwd, name)

type Row = { readonly query: string; readonly text: string; readonly grade: number }

/** The more often a text says it is good, the better. The rows of a query stand apart, and each query has another order of texts. */
const texts = ['a bad soup', 'a good soup', 'a good good soup', 'a bad bad film', 'a good film']
const queries = Array.from({ length: 24 }, (_, i) => `which one is number ${i}`)
const rows: readonly Row[] = texts.flatMap((_, t) =>
  queries.flatMap((query, q) => {
    const text = texts[(t + q) % texts.length] ?? ''
    return t < 3 + (q % 3) ? [{ query, text: `${text} ${q}`, grade: text.split('good').length - 1 }] : []
  }),
)

const columns = { text: 'query', textPair: 'text', label: 'grade', problemType: 'rerank' } as const
const flags = {
  ...columns,
  ...{ method: 'lora', rank: '4', maxLength: '32', batchSize: '4', learningRate: '0.02', device: 'cpu', threads: '1', evalShare: '0.25' },
} as const

const write = (name: string, list: readonly object[]): Promise<void> =>
  writeFile(at(name), list.map((row) => JSON.stringify(row)).join('\n'))

let trained: RunResult
beforeAll(async () => {
  env.allowRemoteModels = false
  await write('graded.jsonl', rows)
  await writeTinyModel(at('sentences'), { 'config.json': JSON.stringify({ ...tinyConfig, architectures: ['RobertaModel'] }) })
  await mkdir(at('sentences/1_Pooling'))
  await writeFile(at('sentences/1_Pooling/config.json'), '{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}')
  trained = await runJob({ ...flags, model: at('sentences'), task: at('graded.jsonl'), maxSteps: '80', evalSteps: '80', output: at('run') })
})

const scoresOf = async (list: readonly Row[]): Promise<readonly number[]> => {
  const input = list.map(({ query, text }) => `${query}\t${text}\n`).join('')
  const { stdout } = await saloraIn(['predict', '--run', 'run', '--quiet'], { cwd, input })
  return jsonLines<{ readonly score: number }>(stdout).map(({ score }) => score)
}

describe('--problem-type rerank', () => {
  it('learns the order of the grades, with a query as one example', () => {
    expect(trained).toMatchObject({ taskType: 'rerank', selectedBy: 'ndcg', majority: null, examples: { training: 18, evaluation: 6 } })
    expect(Object.keys(trained.last.scores)).toEqual(['ndcg', 'mrr'])
    expect(trained.last.scores['ndcg']).toBeGreaterThan(0.95)
  })

  it('is scored as its predictions are, query by query', async () => {
    const scores = await scoresOf(rows)
    const ranked = queries.map((query) => {
      const places = rows.flatMap((row, i) => (row.query === query ? [i] : []))
      return rankGrades(
        places.map((i) => scores[i] ?? NaN),
        places.map((i) => rows[i]?.grade ?? NaN),
      )
    })
    const { stdout } = await saloraIn(['evaluate', '--run', 'run', '--task', 'graded.jsonl', '--json', '--quiet'], { cwd })
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
    expect((JSON.parse(stdout) as RunResult['last']).scores).toEqual({
      ndcg: expect.closeTo(mean(ranked.map(normalizedGain)), 6),
      mrr: expect.closeTo(mean(ranked.map(reciprocalRank)), 6),
    })
  })

  it("has the same scores as logits of transformers.js' AutoModelForSequenceClassification", async () => {
    const { stderr } = await saloraIn(['export', '--run', 'run', '--format', 'transformers.js', '--output', 'js', '--quiet'], { cwd })
    expect(stderr).toMatch(/^warning: pipeline\('text-classification'\) answers 1 for every pair/m)
    const [tokenizer, model] = [
      await AutoTokenizer.from_pretrained(at('js'), { local_files_only: true }),
      await AutoModelForSequenceClassification.from_pretrained(at('js'), { device: 'cpu', dtype: 'fp32', local_files_only: true }),
    ]
    const some = rows.slice(0, 4)
    const inputs = tokenizer(
      some.map(({ query }) => query),
      { text_pair: some.map(({ text }) => text), padding: true, truncation: true },
    )
    const { logits } = (await model(inputs)) as { readonly logits: { readonly data: Float32Array } }
    await model.dispose()
    const expected = await scoresOf(some)
    expect(logits.data).toHaveLength(4)
    expected.forEach((score, i) => expect(logits.data[i]).toBeCloseTo(score, 4))
  })

  it("trains the head of the model's family on a sentence encoder too, since the embedding of one text says nothing", async () => {
    const { tensors } = await readSafetensors(at('run/adapter/adapter_model.safetensors'))
    expect([...tensors.keys()]).toContain('base_model.model.classifier.out_proj.weight')
    expect(JSON.parse(await readFile(at('run/adapter/adapter_config.json'), 'utf8'))).toMatchObject({ task_type: 'SEQ_CLS' })
  })

  it('is refused in one line', async () => {
    const refused = async (list: readonly object[], more: Record<string, unknown> = {}) => {
      await write('wrong.jsonl', list)
      return refusalOf(() => loadTask({ task: at('wrong.jsonl'), ...columns, ...more }))
    }
    const [q, one] = [{ query: 'q' }, { query: 'one', text: 'a', grade: 1 }]
    const where = `${at('wrong.jsonl')}, row`
    const needed = 'expected texts of two grades or more for each query (or --skip-missing), got'
    const good = [1, 0].map((grade) => ({ ...q, text: `t${grade}`, grade }))
    expect(await refused([...good, one])).toBe(`${where} 3: ${needed} one text for "one"`)
    expect(await refused([1, 1].map((grade) => ({ ...q, text: 'a', grade })))).toBe(`${where} 1: ${needed} 2 texts of grade 1 for "q"`)
    expect(await refused([...good, { ...q, text: 'a', grade: -1 }])).toBe(`${where} 3: expected a grade of at least 0, got -1`)
    expect(await refused([...good, { ...q, text: 'a', grade: null }])).toMatch(/row 3: expected a label \(or --skip-missing\), got null$/)
    const many = Array.from({ length: 101 }, (_, i) => ({ ...q, text: `t${i}`, grade: i % 2 }))
    expect(await refused(many)).toBe(`${where} 101: expected at most 100 texts for a query, got more for "q"`)
    expect(await refused([one], { skipMissing: true })).toMatch(/: expected at least one query with texts of two grades, got none$/)
    expect(await refused(good, { textPair: undefined })).toMatch(
      /^--text-pair: expected the column of the second texts, for --problem-type rerank/,
    )
    const { train } = await (async () => {
      await write('some.jsonl', [...rows, one])
      return loadTask({ task: at('some.jsonl'), ...columns, skipMissing: true })
    })()
    expect(train.skipped.map(({ reason }) => reason)).toEqual(['no two grades of its query'])
  })
})
