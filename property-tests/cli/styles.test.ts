/** The style classifier from its preset to its ACC: training, saving, scores on dev and test, and loading as a library. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { classifyStyles, linesByStyle, openStyleClassifier, readStyles } from '../../evaluation/index.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraHere } from './inProcess.js'
import { runJob } from './jobRun.js'
import { writeFamily } from './tinyAdapter.js'
import { toyFile } from './toyTask.js'

const { folder: root } = temporaryFolder('styles')
const at = (name: string): string => join(root, name)
const steps = 80

/** Lines whose style is their letter's, of all lengths up to the preset's 18 tokens and beyond. */
const lines = (style: 0 | 1, count: number, from: number): string =>
  Array.from({ length: count }, (_, i) => `${'aZ'[style]} `.repeat(1 + ((i + from) % 20)) + (i + from)).join('\n')

beforeAll(async () => {
  await writeFamily(at('bert'), 'bert')
  await mkdir(at('yelp'))
  for (const [i, [part, count]] of (
    [
      ['train', 320],
      ['dev', 20],
      ['test', 25],
    ] as const
  ).entries())
    for (const style of [0, 1] as const) await writeFile(at(`yelp/${part}.${style}`), lines(style, count, 1000 * i))
  await runJob({
    ...{ model: at('bert'), task: 'yelp', data: at('yelp'), preset: 'tsst-classifier', output: at('run'), device: 'cpu', threads: '1' },
    ...{ maxSteps: String(steps), learningRate: '4e-3', evalSteps: '20' },
  })
}, 60_000)

describe('a run of --preset tsst-classifier', () => {
  it("has the learning rates of torch's linear schedule without warm-up, and saves the whole model with two styles", async () => {
    type Line = { readonly kind: string; readonly step: number; readonly learningRate: number }
    const events = jsonLines<Line>(await readFile(at('run/metrics.jsonl'), 'utf8'))
    const rates = events.filter(({ kind }) => kind === 'step').map(({ learningRate }) => learningRate)
    // get_linear_schedule_with_warmup(optimizer, 0, 80): (80 - k) / 80 of the peak at the k-th step, from 0
    expect(rates).toHaveLength(steps)
    rates.forEach((rate, k) => expect(rate).toBeCloseTo((4e-3 * (steps - k)) / steps, 12))
    const config = JSON.parse(await readFile(at('run/adapter/config.json'), 'utf8')) as { readonly id2label: unknown }
    expect(config.id2label).toEqual({ 0: 'negative', 1: 'positive' })
  })
})

describe('the style classifier', () => {
  it('is evaluated on dev, and on test with --eval-data test', async () => {
    const scored = async (...flags: readonly string[]) => {
      const { code, stdout, stderr } = await saloraHere('evaluate', '--run', at('run'), '--json', ...flags)
      expect([code, stderr.includes('held out')]).toEqual([0, false])
      return JSON.parse(stdout) as { examples: number; source: string; scores: { accuracy: number }; trainedOn: number }
    }
    expect(await scored()).toMatchObject({ examples: 40, source: at('yelp/dev.{0,1}'), trainedOn: 0, scores: { accuracy: 1 } })
    expect(await scored('--eval-data', 'test')).toMatchObject({ examples: 50, source: at('yelp/test.{0,1}'), scores: { accuracy: 1 } })
    const { best } = JSON.parse(await readFile(at('run/result.json'), 'utf8')) as { readonly best: { readonly scores: object } }
    expect((await scored()).scores).toEqual(best.scores)
    const { stdout } = await saloraHere('evaluate', '--run', at('run'), '--quiet')
    expect(stdout).toMatch(/40 examples of .*yelp\/dev\.\{0,1\}\n$/)
  })

  it('gives the same predictions from its run and from a Hugging Face folder', async () => {
    const test = linesByStyle(await readStyles('yelp', 'test', at('yelp')))
    const predictions = []
    for (const source of [{ run: at('run') }, { model: at('run/adapter'), device: 'cpu', threads: 1 }]) {
      const classifier = await openStyleClassifier('yelp', source)
      try {
        const answers = await classifyStyles(classifier, test.flat())
        expect(answers.map(({ style }) => style)).toEqual([...test[0].map(() => 0), ...test[1].map(() => 1)])
        predictions.push(answers)
      } finally {
        await classifier.release()
      }
    }
    const [ofRun = [], ofFolder = []] = predictions
    expect(ofFolder.map(({ label }) => label)).toEqual(ofRun.map(({ label }) => label))
    ofFolder.forEach(({ score }, i) => expect(score).toBeCloseTo(ofRun[i]?.score ?? NaN, 5))
  })

  it('reads longer lines than the training did, unless limited', async () => {
    // the preset's 18 tokens are two of the frame and sixteen letters
    const [cut, long] = ['a '.repeat(16), `${'a '.repeat(16)}${'Z '.repeat(60)}`]
    const scores = async (more: { readonly maxLength?: number }) => {
      const classifier = await openStyleClassifier('yelp', { run: at('run'), ...more })
      try {
        return (await classifyStyles(classifier, [cut, long])).map(({ style, score }) => (style === 0 ? score : 1 - score))
      } finally {
        await classifier.release()
      }
    }
    const [short = NaN, all = NaN] = await scores({})
    expect(Math.abs(short - all)).toBeGreaterThan(0.1)
    const [one = NaN, other = NaN] = await scores({ maxLength: 18 })
    expect(one).toBeCloseTo(other, 6)
  })

  it('is refused in one line for other styles or other classes', async () => {
    await expect(openStyleClassifier('gyafc', { run: at('run') })).rejects.toThrow(
      `${at('run')}: expected a classifier of two styles (informal, formal), got negative, positive`,
    )
    await writeFile(at('toy.tsv'), toyFile(40))
    await runJob({
      model: at('bert'),
      task: at('toy.tsv'),
      method: 'full',
      maxSteps: '1',
      output: at('toy'),
      device: 'cpu',
      maxLength: '20',
    })
    await expect(openStyleClassifier('yelp', { run: at('toy') })).rejects.toThrow(
      `${at('toy')}: expected a classifier of two styles (negative, positive), got bad, good`,
    )
    await expect(openStyleClassifier('yelp', { run: at('yelp') })).rejects.toThrow(
      `${at('yelp')}: expected the folder of a run of salora train, got no config.json there`,
    )
  })
})
