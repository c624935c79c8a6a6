/** A regression on a file with scores in any unit: the same run in every unit, and answers in that of the file. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { normals } from '../../accelerated/parameters/random.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { tinyConfig, tinyTensors, writeTinyModel } from './tinyModel.js'

const { folder: cwd, write } = temporaryFolder('scores')
/** 2¹⁰ stars + 4096 are exact in float64, so both files have the same scaled scores but for rounding. */
const units = { stars: (stars: number) => stars, points: (stars: number) => 1024 * stars + 4096 } as const
const texts = Array.from({ length: 48 }, (_, i) => ({
  text: `${['poor', 'fair', 'good', 'great', 'fine'][i % 5]} film ${i}`,
  stars: 1 + ((i % 5) + (i % 3)) / 2,
}))
const file = (unit: (stars: number) => number): string =>
  texts.map(({ text, stars }) => JSON.stringify({ text, label: unit(stars) })).join('\n')
const matrix = (seed: number, shape: readonly number[], size: number) => ({
  shape,
  data: Float32Array.from(normals(seed, 'initialization', 0, size)),
})

beforeAll(async () => {
  await writeTinyModel(join(cwd, 'tiny'))
  const head = new Map([
    ['classifier.dense.weight', matrix(2, [16, 16], 256)],
    ['classifier.dense.bias', matrix(3, [16], 16)],
    ['classifier.out_proj.weight', matrix(4, [1, 16], 16)],
    ['classifier.out_proj.bias', { shape: [1], data: Float32Array.of(2100) }],
  ])
  await writeTinyModel(join(cwd, 'rated'), {
    'config.json': JSON.stringify({ ...tinyConfig, num_labels: 1, architectures: ['RobertaForSequenceClassification'] }),
    'model.safetensors': writeSafetensors(new Map([...tinyTensors(), ...head])),
  })
  for (const [name, unit] of Object.entries(units)) write(`${name}.jsonl`, file(unit))
})

const run = async (...args: readonly string[]) => {
  const { code, stdout, stderr } = await saloraIn([...args, '--device', 'cpu', '--threads', '1', '--quiet'], { cwd })
  expect([code, stderr.replace(/^warning: .*\n/gm, '')]).toEqual([0, ''])
  return stdout
}
const short = [
  ...'--max-steps 6 --eval-steps 3 --batch-size 8 --max-length 16 --dropout 0 --head transformers'.split(' '),
  ...'--load-best-model-at-end'.split(' '),
]
const train = async (unit: string, output: string, ...more: readonly string[]): Promise<RunResult> =>
  JSON.parse(
    await run(
      ...['train', '--model', 'tiny', '--task', `${unit}.jsonl`, '--problem-type', 'regression', '--method', 'lora', ...short],
      ...['--learning-rate', '1e-2', '--output', output, '--json', ...more],
    ),
  ) as RunResult
const scoresOf = async (...args: readonly string[]) =>
  (JSON.parse(await run('evaluate', '--max-length', '16', '--json', ...args)) as { readonly scores: Readonly<Record<string, number>> })
    .scores
const firstScores = async (output: string): Promise<Readonly<Record<string, number>>> =>
  jsonLines<{ readonly kind: string; readonly scores: Readonly<Record<string, number>> }>(
    await readFile(join(cwd, output, 'metrics.jsonl'), 'utf8'),
  ).find(({ kind }) => kind === 'evaluation')?.scores ?? {}

describe('a regression on a file', () => {
  let [stars, points]: readonly (RunResult | undefined)[] = []
  beforeAll(async () => {
    stars = await train('stars', 'in-stars')
    points = await train('points', 'in-points')
  })

  it('learns the same in every unit: correlations are equal, and squared errors have the square of the unit', () => {
    const [ofStars, ofPoints] = [stars?.last.scores, points?.last.scores]
    expect(ofStars?.['pearson']).toBeGreaterThan(0.3) // it has learned something
    for (const name of ['pearson', 'spearman']) expect(ofPoints?.[name]).toBeCloseTo(ofStars?.[name] ?? NaN, 4)
    expect((ofPoints?.['mse'] ?? NaN) / 1024 ** 2).toBeCloseTo(ofStars?.['mse'] ?? NaN, 4)
    expect((ofPoints?.['mae'] ?? NaN) / 1024).toBeCloseTo(ofStars?.['mae'] ?? NaN, 4)
  })

  it('writes an adapter that answers in the unit of the file', async () => {
    const predictions = async (output: string): Promise<readonly number[]> => {
      const input = texts.map(({ text }) => text).join('\n')
      const { stdout } = await saloraIn(['predict', '--run', output, '--json', '--quiet'], { cwd, input })
      return (JSON.parse(stdout) as readonly { readonly value: number }[]).map(({ value }) => value)
    }
    const [inStars, inPoints] = [await predictions('in-stars'), await predictions('in-points')]
    expect(inStars.every((value) => value > 0.5 && value < 5)).toBe(true)
    inPoints.forEach((value, i) => expect((value - 4096) / 1024).toBeCloseTo(inStars[i] ?? NaN, 3))
    const scores = await scoresOf('--run', 'in-points')
    expect(scores['mae']).toBeCloseTo(points?.best?.scores['mae'] ?? NaN, 1)
    expect(scores['pearson']).toBeCloseTo(points?.best?.scores['pearson'] ?? NaN, 4)
  })

  const still = ['--learning-rate', '1e-12', '--max-steps', '1']

  it('starts from an adapter of the same unit with the function of the adapter', async () => {
    await train('points', 'warm', '--adapter', 'in-points/adapter', '--eval-data', 'points.jsonl', ...still)
    const expected = await scoresOf(...'--model tiny --adapter in-points/adapter --task points.jsonl --problem-type regression'.split(' '))
    const first = await firstScores('warm')
    for (const name of ['mae', 'mse']) expect((first[name] ?? NaN) / (expected[name] ?? NaN)).toBeCloseTo(1, 4)
  })

  it("starts from the model's own head with the function of the model", async () => {
    await train('points', 'own', '--model', 'rated', '--eval-data', 'points.jsonl', ...still)
    const expected = await scoresOf('--model', 'rated', '--task', 'points.jsonl', '--problem-type', 'regression')
    const first = await firstScores('own')
    for (const name of ['mae', 'pearson']) expect((first[name] ?? NaN) / (expected[name] ?? NaN)).toBeCloseTo(1, 4)
  })

  it('warns where the head has no bias and the scores are far from 0', async () => {
    const warnings = async (name: string, unit: (stars: number) => number): Promise<readonly string[]> => {
      write(`${name}.jsonl`, file(unit))
      const flags = ['--task', `${name}.jsonl`, '--problem-type', 'regression', '--method', 'lora', ...short, '--max-steps', '1', '--quiet']
      const { code, stderr } = await saloraIn(
        ['train', '--model', join(fixtures, 'llama'), '--output', name, '--device', 'cpu', ...flags],
        { cwd },
      )
      expect(code).toBe(0)
      return stderr.split('\n').filter((line) => line.includes('bias'))
    }
    expect(await warnings('far', (stars) => 10 * stars)).toEqual([
      expect.stringMatching(
        /^warning: the head of llama has no bias, so it learns scores around 0 best: subtract their mean \(2\d\.\d+\) from each, and add/,
      ),
    ])
    expect(await warnings('near', (stars) => 10 * (stars - 2.5))).toEqual([])
  })

  it('refuses to resume a run that began with scores as they are, and offers a new run from its adapter', async () => {
    await cp(join(cwd, 'in-points'), join(cwd, 'older'), { recursive: true })
    const config = JSON.parse(await readFile(join(cwd, 'older/config.json'), 'utf8')) as {
      readonly inputs: Readonly<Record<string, string>>
    }
    const { 'scale of scores': scale, ...inputs } = config.inputs
    expect(scale).toBe('mean 0, deviation 1')
    await writeFile(join(cwd, 'older/config.json'), JSON.stringify({ ...config, inputs }))
    const { code, stderr } = await saloraIn(['train', '--resume', '--output', 'older', '--max-steps', '9', '--quiet'], { cwd })
    expect(code).toBe(1)
    const [expected, got] = stderr.split(', got ')
    expect(expected).toMatch(
      /^older\/config\.json: expected the model and the data that the run began with \(to start a new run from its adapter: /,
    )
    expect(got).toBe('scale of scores was nothing and is "mean 0, deviation 1"\n')
  })
})
