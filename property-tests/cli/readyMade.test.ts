/** A model with its own head, by --model alone: the scores and predictions of the model and adapter that it was merged from. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { jsonLines } from '../support/jsonLines.js'
import { saloraHere, saloraIn } from './inProcess.js'
import { writeAdapter } from './tinyAdapter.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('ready')
const at = (...path: readonly string[]): string => join(cwd, ...path)
const machine = ['--max-length', '16', '--device', 'cpu', '--quiet']
beforeAll(async () => {
  await writeAdapter(at('adapter'), at('tiny'), ['good', 'bad'])
  await saloraHere('export', '--model', at('tiny'), '--adapter', at('adapter'), '--format', 'merged', '--output', at('merged'), '--quiet')
})

type Scored = {
  readonly scores: Record<string, number>
  readonly confusion: unknown
  readonly adapter: string | null
  readonly model: string
}
const evaluate = async (...flags: readonly string[]): Promise<Scored> => {
  const { stdout } = await saloraHere('evaluate', ...machine, '--task', at('toy.tsv'), '--json', ...flags)
  return JSON.parse(stdout) as Scored
}
const merged = async (change: (config: Record<string, unknown>) => object) => {
  const config = JSON.parse(await readFile(at('merged', 'config.json'), 'utf8')) as Record<string, unknown>
  await writeFile(at('merged', 'config.json'), JSON.stringify(change(config)))
  return () => writeFile(at('merged', 'config.json'), JSON.stringify(config))
}

describe('a merged classifier', () => {
  it('has the scores of model and adapter with evaluate --model, by the classes of its id2label', async () => {
    const [adapterScores, mergedScores] = [
      await evaluate('--model', at('tiny'), '--adapter', at('adapter')),
      await evaluate('--model', at('merged')),
    ]
    expect(mergedScores).toMatchObject({ adapter: null, model: at('merged'), confusion: adapterScores.confusion })
    expect(Object.keys(mergedScores.scores)).toEqual(Object.keys(adapterScores.scores))
    for (const [name, score] of Object.entries(adapterScores.scores)) expect(mergedScores.scores[name]).toBeCloseTo(score, 5)
  })

  it('has the predictions of model and adapter with predict --model', async () => {
    const answers = await Promise.all(
      [
        ['--model', 'tiny', '--adapter', 'adapter'],
        ['--model', 'merged'],
      ].map(async (flags) => {
        const { code, stdout } = await saloraIn(['predict', ...machine, ...flags], { cwd, input: 'good film\nawful\n' })
        return { code, lines: jsonLines<{ label: string; score: number }>(stdout) }
      }),
    )
    const [adapterAnswers, mergedAnswers] = answers
    expect([mergedAnswers?.code, mergedAnswers?.lines.length]).toEqual([0, 2])
    mergedAnswers?.lines.forEach(({ label, score }, i) => {
      expect(label).toBe(adapterAnswers?.lines[i]?.label)
      expect(score).toBeCloseTo(adapterAnswers?.lines[i]?.score ?? NaN, 5)
    })
  })

  it('requires --labels if its config.json names no classes', async () => {
    const [expected, restore] = [
      await evaluate('--model', at('merged')),
      await merged(({ id2label: _, label2id: __, ...config }) => config),
    ]
    try {
      const { code, stderr } = await saloraHere('evaluate', ...machine, '--task', at('toy.tsv'), '--model', at('merged'))
      expect([code, stderr]).toEqual([
        2,
        '--labels: expected the 2 classes of the model in the order of its outputs (such as bad,good), since its config.json does not name them, got none given\n',
      ])
      expect((await evaluate('--model', at('merged'), '--labels', 'good,bad')).scores).toEqual(expected.scores)
    } finally {
      await restore()
    }
  })

  it('is refused in one line if its head has another number of classes', async () => {
    const restore = await merged((config) => ({ ...config, id2label: { 0: 'a', 1: 'b', 2: 'c' }, label2id: { a: 0, b: 1, c: 2 } }))
    try {
      const { code, stderr } = await saloraHere('evaluate', ...machine, '--task', at('toy.tsv'), '--model', at('merged'))
      expect([code, stderr]).toEqual([
        1,
        `${at('merged')}: expected a classification head (classifier.out_proj.weight [3, 16]), as no --adapter is given, got one of shape [2, 16]\n`,
      ])
    } finally {
      await restore()
    }
  })
})
