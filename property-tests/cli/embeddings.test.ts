/** Sentence embeddings, from a file of pairs to vectors and to other tools. */
import { existsSync, readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { spearman } from '../../finetuning/metrics/index.js'
import { findSeconds, scorePairs, type Pair } from '../../finetuning/tasks/embeddings/metrics.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { readDetails } from '../../finetuning/run/evaluationDetails.js'
import { loadTask } from '../../finetuning/tasks/index.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { fixtures } from '../golden/golden.js'
import { refusalOf } from '../support/refusal.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { bytesIn, runJob } from './jobRun.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('vectors', {})
const at = (name: string): string => join(cwd, name)

const subjects = ['film', 'soup', 'train', 'song', 'garden', 'storm']
const pairs = Array.from({ length: 60 }, (_, i) => {
  const [a, b] = [subjects[i % 6], subjects[(i + (i % 3)) % 6]]
  return { a: `the ${a} number ${i}`, b: `a ${b} of ${i + 1}`, score: i % 3 === 0 ? 5 : i % 3, ok: `one ${a} more ${i}` }
})

/** Pairs whose texts are all different. */
const allDifferent = (list: readonly Pair[]) => ({ first: list.map((_, i) => i), second: list.map((_, i) => i) })

const flags = {
  ...{ method: 'lora', rank: '4', maxLength: '24', batchSize: '8', learningRate: '0.02', device: 'cpu', threads: '1' },
  ...{ text: 'a', textPair: 'b' },
} as const
const steps = (n: number) => ({ maxSteps: String(n), evalSteps: String(n) })

let trained: RunResult
beforeAll(async () => {
  env.allowRemoteModels = false
  await writeFile(at('pairs.jsonl'), pairs.map((row) => JSON.stringify(row)).join('\n'))
  const task = { label: 'score', problemType: 'similarity', model: at('tiny'), task: at('pairs.jsonl') }
  trained = await runJob({ ...flags, ...task, ...steps(80), output: at('run') })
})

const vectorsOf = async (run: readonly string[], texts: readonly string[]): Promise<readonly (readonly number[])[]> => {
  const { stdout } = await saloraIn(['predict', ...run, '--quiet'], { cwd, input: texts.map((text) => `${text}\n`).join('') })
  return jsonLines<{ readonly embedding: readonly number[] }>(stdout).map(({ embedding }) => embedding)
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0)
const close = (a: readonly number[], b: ArrayLike<number>, bound: number): void => {
  expect(b).toHaveLength(a.length)
  a.forEach((x, i) => expect(Math.abs(x - (b[i] ?? NaN))).toBeLessThan(bound))
}

/** What salora evaluate gives for the labeled pairs. */
const similarityScores = async (run: string): Promise<Readonly<Record<string, number>>> => {
  const labeled = ['--task', 'pairs.jsonl', '--text', 'a', '--text-pair', 'b', '--label', 'score', '--problem-type', 'similarity']
  const { stdout } = await saloraIn(['evaluate', '--run', run, ...labeled, '--json', '--quiet'], { cwd })
  return (JSON.parse(stdout) as { readonly scores: Readonly<Record<string, number>> }).scores
}

describe('--problem-type similarity', () => {
  it('learns the scores of pairs, and reports their correlations with the cosines', () => {
    expect(Object.keys(trained.best?.scores ?? {})).toEqual(['spearman', 'pearson'])
    expect(trained.best?.scores['spearman']).toBeGreaterThan(0.3) // of six pairs
    expect(trained).toMatchObject({ taskType: 'similarity', selectedBy: 'spearman', majority: null })
    expect(trained.trainableParameters).not.toHaveProperty('head')
  })

  it('gives the scores of the run in salora evaluate, which are those of the vectors that salora predict prints', async () => {
    const scored = await saloraIn(['evaluate', '--run', 'run', '--json', '--quiet'], { cwd })
    expect(JSON.parse(scored.stdout)).toMatchObject({ scores: trained.best?.scores, byClass: null })
    const [first, second] = [
      await vectorsOf(
        ['--run', 'run'],
        pairs.map(({ a }) => a),
      ),
      await vectorsOf(
        ['--run', 'run'],
        pairs.map(({ b }) => b),
      ),
    ]
    const cosines = first.map((vector, i) => dot(vector, second[i] ?? []))
    const scores = await similarityScores('run')
    expect(scores['spearman']).toBeGreaterThan(0.5)
    expect(scores['spearman']).toBeCloseTo(
      spearman(
        cosines,
        pairs.map(({ score }) => score),
      ),
      3,
    )
  })

  it('prints a vector of length 1 for a text, and the cosine for a pair', async () => {
    const { stdout } = await saloraIn(['predict', '--run', 'run', '--quiet'], { cwd, input: 'the film\na soup\nthe film\ta soup\n' })
    const [one, other, both] = jsonLines<{ embedding: number[]; similarity: number }>(stdout)
    expect(dot(one?.embedding ?? [], one?.embedding ?? [])).toBeCloseTo(1, 5)
    expect(both?.similarity).toBeCloseTo(dot(one?.embedding ?? [], other?.embedding ?? []), 5)
    const csv = await saloraIn(['predict', '--run', 'run', '--to', 'csv', '--quiet'], { cwd, input: 'the film\n' })
    expect(csv.stdout).toMatch(/^text,similarity,embedding,error\nthe film,,"\[/)
  })

  it('has in evaluation.json the pairs whose cosine is furthest from their score, in the units of the scores', async () => {
    const { errors = [] } = (await readDetails(at('run'))) ?? {}
    expect(errors).toHaveLength(trained.examples.evaluation)
    const input = errors.map(({ text, textPair }) => `${text}\t${textPair}\n`).join('')
    const { stdout } = await saloraIn(['predict', '--run', 'run', '--quiet'], { cwd, input })
    const cosines = jsonLines<{ readonly similarity: number }>(stdout).map(({ similarity }) => similarity)
    errors.forEach(({ row, text, textPair, label, predicted, loss }, i) => {
      const pair = pairs[row - 1]
      expect({ a: text, b: textPair, score: Number(label) }).toEqual({ a: pair?.a, b: pair?.b, score: pair?.score })
      expect(Number(predicted)).toBeCloseTo(5 * (cosines[i] ?? NaN), 3) // 5 is the largest score
      expect(loss).toBeCloseTo(Math.abs(Number(label) - Number(predicted)), 4)
    })
    expect(errors.map(({ loss }) => loss)).toEqual(errors.map(({ loss }) => loss).toSorted((a, b) => b - a))
  })

  it("opens in transformers.js' feature-extraction pipeline, with the same vectors", async () => {
    const { stderr } = await saloraIn(['export', '--run', 'run', '--format', 'transformers.js', '--output', 'js', '--quiet'], { cwd })
    expect(stderr).toMatch(/^warning: pipeline\('feature-extraction'\) needs { pooling: 'mean', normalize: true }/)
    const texts = ['the film number 1', 'soup', 'a much longer text about the train and the garden in a storm']
    const extract = await pipeline('feature-extraction', at('js'), { device: 'cpu', dtype: 'fp32', local_files_only: true })
    const theirs = await extract(texts, { pooling: 'mean', normalize: true })
    await extract.dispose()
    close((await vectorsOf(['--run', 'run'], texts)).flat(), theirs.data as Float32Array, 1e-5)
  })

  it('merges into a bare encoder that gives the same vectors by itself, and writes its adapter for FEATURE_EXTRACTION', async () => {
    await saloraIn(['export', '--run', 'run', '--format', 'merged', '--output', 'merged', '--quiet'], { cwd })
    expect(JSON.parse(await readFile(at('merged/config.json'), 'utf8'))).toMatchObject({ architectures: ['RobertaModel'] })
    const texts = ['the film', 'a soup of 3']
    close((await vectorsOf(['--run', 'run'], texts)).flat(), (await vectorsOf(['--model', 'merged'], texts)).flat(), 1e-5)
    expect(JSON.parse(await readFile(at('run/adapter/adapter_config.json'), 'utf8'))).toMatchObject({ task_type: 'FEATURE_EXTRACTION' })
    expect(await readFile(at('run/adapter/README.md'), 'utf8')).toMatch(/^pipeline_tag: feature-extraction$/m)
  })
})

describe('--problem-type pairs', () => {
  it('learns to find the second text of each pair, and is scored on labeled pairs too', async () => {
    const task = { ...flags, textPair: 'ok', problemType: 'pairs', model: at('tiny'), task: at('pairs.jsonl') }
    const { best } = await runJob({ ...task, ...steps(60), output: at('found') })
    expect(Object.keys(best?.scores ?? {})).toEqual(['accuracy', 'mrr', 'ndcg', 'recall', 'loss'])
    expect(best?.scores['accuracy']).toBeGreaterThan(0.8)
    expect(Object.keys(await similarityScores('found'))).toEqual(['spearman', 'pearson'])
  })

  it('has the loss −log softmax(20 · cosines)[own], and names what each first text finds', () => {
    const [right, up] = [
      [1, 0],
      [0, 1],
    ]
    // the cosines of the first texts: (0.6, 0.8) and (0.8, 0.6), so that each finds the other's second text
    const crossed = [
      [right, [0.6, 0.8]],
      [up, [0.6, 0.8]],
    ] as unknown as Parameters<typeof scorePairs>[0]
    const swapped = [
      [right, [0.6, 0.8]],
      [up, [0.8, 0.6]],
    ] as unknown as typeof crossed
    const [first, second] = findSeconds(swapped, allDifferent(swapped))
    expect(scorePairs(swapped, allDifferent(swapped)).accuracy).toBe(0)
    for (const found of [first, second]) expect(found?.loss).toBeCloseTo(Math.log(1 + Math.exp(20 * (0.8 - 0.6))), 12)
    expect([first?.nearest, second?.nearest]).toEqual([1, 0])
    // equal vectors: the own one counts as found, but not as ranked first
    expect(findSeconds(crossed, allDifferent(crossed)).map(({ nearest }) => nearest)).toEqual([0, 1])
    expect(scorePairs(crossed, allDifferent(crossed))).toMatchObject({ accuracy: 1, mrr: 0.5, loss: expect.closeTo(Math.log(2), 12) })
  })

  it('counts the pairs of later blocks on', () => {
    const [right, up] = [
      [1, 0],
      [0, 1],
    ] as const
    const alike = Array.from({ length: 1_000 }, () => [right, right] as const)
    const all = [...alike, [right, up], [up, right], [right, right]] as const
    const found = findSeconds(all, allDifferent(all))
    expect(found.slice(1_000).map(({ nearest }) => nearest)).toEqual([501, 1_000, 1_002]) // the second block begins at 501
  })

  it('compares as many pairs in the last block as in the others', () => {
    // pair i is at the angle i. Its own cosine is 1, and its loss is log Σ exp(20 · (cos(i − j) − 1)) over the pairs j of its block
    const at = (i: number): number[] => [Math.cos(i), Math.sin(i)]
    const all = Array.from({ length: 1_001 }, (_, i) => [at(i), at(i)] as const)
    const found = findSeconds(all, allDifferent(all))
    const lossAmong = (i: number, from: number, to: number): number =>
      Math.log(Array.from({ length: to - from }, (_, k) => Math.exp(20 * (Math.cos(i - from - k) - 1))).reduce((a, b) => a + b, 0))
    for (const i of [0, 499]) expect(found[i]?.loss).toBeCloseTo(lossAmong(i, 0, 500), 9)
    for (const i of [500, 1_000]) expect(found[i]?.loss).toBeCloseTo(lossAmong(i, 500, 1_001), 9)
    // pairs that are all alike: the mean loss is the mean of log(block size)
    const alike = (n: number) => {
      const same = Array.from(
        { length: n },
        () =>
          [
            [1, 0],
            [1, 0],
          ] as const,
      )
      return scorePairs(same, allDifferent(same)).loss
    }
    expect(alike(1_001)).toBeCloseTo((500 * Math.log(500) + 501 * Math.log(501)) / 1_001, 9)
    expect(alike(1_000)).toBeCloseTo(Math.log(1_000), 9)
    expect(alike(1)).toBe(0)
  })

  it('is refused in one line without a second column, with an empty text, with --labels-as-text, and for a decoder', async () => {
    const refused = (more: Record<string, unknown>) =>
      refusalOf(() => loadTask({ task: at('pairs.jsonl'), text: 'a', problemType: 'pairs', ...more }))
    expect(await refused({})).toBe('--text-pair: expected the column of the second texts, for --problem-type pairs, got none given')
    expect(await refused({ textPair: 'b', labelsAsText: true })).toBe('--labels-as-text: expected classes as labels, got pairs')
    await writeFile(at('empty.jsonl'), '{"a":"x","b":" "}\n{"a":"x","b":"y"}\n')
    expect(await refused({ task: at('empty.jsonl'), textPair: 'b' })).toBe(
      `${at('empty.jsonl')}, row 1: expected two texts (or --skip-missing), got an empty one`,
    )
    const decoder = {
      ...flags,
      ...steps(1),
      problemType: 'pairs',
      model: join(fixtures, 'llama'),
      task: at('pairs.jsonl'),
      output: at('no'),
    }
    expect(await refusalOf(() => runJob(decoder))).toBe(
      `--model: expected an encoder, as --task ${at('pairs.jsonl')} asks for embeddings, got a decoder of type llama`,
    )
  })
})

describe('--set negative', () => {
  const task = { ...flags, textPair: 'ok', problemType: 'pairs', model: at('tiny'), task: at('pairs.jsonl') }

  it('trains on a column of negatives, which change the run, and which no evaluation reads', async () => {
    const ok = pairs.slice(0, 12).map(({ a, ok: answer }) => ({ a, ok: answer }))
    await writeFile(at('evaluation.jsonl'), ok.map((row) => JSON.stringify(row)).join('\n')) // without the column
    const run = { ...task, ...steps(3), evalData: at('evaluation.jsonl') }
    const plain = await runJob({ ...run, output: at('plain') })
    const hard = await runJob({ ...run, negative: 'b', output: at('hard') })
    expect(Object.keys(hard.last.scores)).toEqual(Object.keys(plain.last.scores))
    expect(hard.last.scores['loss']).not.toBe(plain.last.scores['loss'])
    expect(jsonLines<{ loss?: number }>(readFileSync(at('hard/metrics.jsonl'), 'utf8'))[0]?.loss).toBeGreaterThan(
      jsonLines<{ loss?: number }>(readFileSync(at('plain/metrics.jsonl'), 'utf8'))[0]?.loss ?? Infinity,
    ) // more candidates
  })

  it('mines them once: a resumed run trains on those of its beginning, to the same bits', async () => {
    const run = { ...task, negative: 'mined', maxSteps: '4', evalSteps: '4', saveSteps: '2' }
    const adapterAfter = async (output: string, resumedOn?: (mined: readonly number[]) => readonly number[]) => {
      await runJob({ ...run, output: at(output) }, resumedOn === undefined ? null : 2)
      const mined = JSON.parse(readFileSync(at(`${output}/negatives.json`), 'utf8')) as readonly number[]
      if (resumedOn === undefined) return bytesIn(at(output), ['adapter'])
      await writeFile(at(`${output}/negatives.json`), JSON.stringify(resumedOn(mined)))
      await runJob({ ...run, output: at(output), resume: true })
      return bytesIn(at(output), ['adapter'])
    }
    const uninterrupted = await adapterAfter('mined')
    expect(await adapterAfter('stopped', (mined) => mined)).toEqual(uninterrupted)
    expect(await adapterAfter('other', (mined) => mined.map((_, i) => (i + 1) % mined.length))).not.toEqual(uninterrupted)
  })

  it('is refused in one line without a text in the column, and for other problem types', async () => {
    await writeFile(at('none.jsonl'), '{"a":"x","b":"y","n":" "}\n{"a":"z","b":"w","n":""}\n')
    const refused = (more: Record<string, unknown>) =>
      refusalOf(() => loadTask({ task: at('none.jsonl'), text: 'a', textPair: 'b', problemType: 'pairs', ...more }))
    expect(await refused({ negative: 'n' })).toBe(
      `${at('none.jsonl')}: expected a text in column "n" (--set negative), got none in any row`,
    )
    expect(await refused({ negative: 'n', problemType: 'similarity' })).toBe('--set negative: expected --problem-type pairs, got "n"')
    expect(await refused({ matryoshka: [2], problemType: 'regression' })).toBe(
      '--set matryoshka: expected --problem-type pairs, got "regression"',
    )
    expect(await refused({ matryoshka: '4,x' })).toBe(
      '--set matryoshka: expected up to 16 different whole numbers, such as 256,128,64, got "4,x"',
    )
  })
})

describe('--set matryoshka', () => {
  it('scores each size, whose vectors are the first numbers, and refuses one that the model does not have', async () => {
    const task = { ...flags, textPair: 'ok', problemType: 'pairs', model: at('tiny'), task: at('pairs.jsonl') }
    const { last } = await runJob({ ...task, ...steps(30), matryoshka: '4,2', output: at('nested') })
    expect(Object.keys(last.scores)).toEqual(['accuracy', 'mrr', 'ndcg', 'recall', 'loss', 'mrr4', 'mrr2'])
    const { stdout } = await saloraIn(['evaluate', '--run', 'nested', '--task', 'pairs.jsonl', '--json', '--quiet'], { cwd })
    const { scores } = JSON.parse(stdout) as RunResult['last']
    const vectors = [pairs.map(({ a }) => a), pairs.map(({ ok }) => ok)].map((texts) => vectorsOf(['--run', 'nested'], texts))
    const [first = [], second = []] = await Promise.all(vectors)
    const cut = (vector: readonly number[] = []) => vector.slice(0, 2).map((x) => x / Math.hypot(...vector.slice(0, 2)))
    const shorter = first.map((vector, i) => [cut(vector), cut(second[i])] as const)
    expect(scores['mrr2']).toBeCloseTo(scorePairs(shorter, allDifferent(shorter)).mrr, 4)
    expect(scores['mrr2']).not.toBeCloseTo(scores['mrr'] ?? NaN, 2)
    const refused = await refusalOf(() => runJob({ ...task, ...steps(1), matryoshka: '4096', output: at('never') }))
    expect(refused).toMatch(/^--set matryoshka: expected sizes below the \d+ numbers of an embedding of this model, got 4096$/)
  })
})

const stsb = join(import.meta.dirname, '../../../shared/data/glue/STS-B')

describe.skipIf(!existsSync(stsb))('STS-B (../shared/data/glue)', () => {
  it('learns similarities of real sentences: Spearman of 200 dev pairs is above 0.4 after 20 steps', async () => {
    const part = (name: string, rows: number): string =>
      readFileSync(join(stsb, name), 'utf8')
        .split('\n')
        .slice(0, 1 + rows)
        .join('\n')
    await writeFile(at('train.tsv'), part('train.tsv', 320))
    await writeFile(at('dev.tsv'), part('dev.tsv', 200))
    const task = { ...flags, text: 'sentence1', textPair: 'sentence2', label: 'score', problemType: 'similarity', task: at('train.tsv') }
    const options = { ...task, model: embeddedModel, evalData: at('dev.tsv'), learningRate: '0.001', maxSteps: '20', evalSteps: '10' }
    const { best, last } = await runJob({ ...options, maxLength: '32', output: at('sts') })
    expect(best?.scores['spearman']).toBeGreaterThan(0.4)
    expect(last.scores['pearson']).toBeGreaterThan(0.4)
  })
})
