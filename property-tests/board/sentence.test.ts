/** The board's field for a sentence: the answer of salora predict, one model at a time, within bounds, and one line for each error. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunResult } from '../../finetuning/run/run.js'
import type { OpenRun } from '../../finetuning/use/serving/openRun.js'
import { formatAnswer } from '../../reporting/views/boardView.js'
import { openSentenceModel, sentenceLimit, waitingLimit } from '../../reporting/board/sentenceModel.js'
import { startBoard, type Board } from '../../reporting/board/server.js'
import { hashName } from '../../reporting/board/watch.js'
import { saloraIn } from '../cli/inProcess.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile } from '../cli/toyTask.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { SEED } from '../support/seed.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { follow, pageHeaders, send } from './boardClient.js'
import { nearly } from '../support/nearly.js'

const pairRows = ['a,b,label', ...Array.from({ length: 40 }, (_, i) => `the film ${i},a soup of ${i % 7},${i % 2 === 0 ? 1 : 0.25}`)].join(
  '\n',
)
const asPairs = ['--text', 'a', '--text-pair', 'b']
const trained = {
  toy: { file: 'toy.tsv', content: toyFile(40), flags: [] },
  pair: { file: 'pair.csv', content: pairRows, flags: [...asPairs, '--labels-as-text'] },
  similar: { file: 'similar.csv', content: pairRows, flags: [...asPairs, '--problem-type', 'similarity'] },
  found: { file: 'found.csv', content: pairRows, flags: [...asPairs, '--problem-type', 'pairs'] },
  tagged: {
    file: 'tagged.conll',
    content: Array.from({ length: 40 }, (_, i) => `Ann\tB-person\nSue\tI-person\nwent\tO\nto\tO\nRome\tB-place\n${i}\tO\n`).join('\n'),
    flags: ['--learning-rate', '0.05', '--max-steps', '60'],
  },
}

const { folder: cwd } = temporaryFolder('sentence')
let board: Board
beforeAll(async () => {
  await writeTinyModel(join(cwd, 'tiny'))
  const settings = ['--max-length', '16', '--max-steps', '6', '--batch-size', '8', '--method', 'lora', '--device', 'cpu', '--quiet']
  for (const [name, { file, content, flags }] of Object.entries(trained)) {
    await writeFile(join(cwd, file), content)
    const run = ['train', '--model', join(cwd, 'tiny'), '--task', file, ...settings, ...flags, '--output', `runs/${name}`]
    const { code, stderr } = await saloraIn(run, { cwd })
    expect(code, stderr).toBe(0)
  }
  await writeRun(join(cwd, 'runs/empty'), {}) // a run without an adapter
  await writeRun(join(cwd, 'runs/writes'), { result: { taskType: 'causal' } })
  board = await startBoard({ folder: join(cwd, 'runs'), port: 0 })
})
afterAll(() => board.close())

const ask = async (body: unknown) => {
  const { status, text } = await send(board, '/predict', { method: 'POST', headers: pageHeaders(board), body: JSON.stringify(body) })
  return { status, answer: JSON.parse(text) as { readonly message: string; readonly prediction?: unknown } }
}

describe('a sentence on the board', () => {
  const viewOf = async (name: string) => {
    const view = await follow(board, `view=run&id=${hashName(name)}`)
    await expect.poll(() => view.state().run ?? null).not.toBeNull()
    const { run } = view.state()
    view.close()
    return { sentence: run?.sentence, obstacle: run?.sentenceObstacle }
  }
  const predicted = async (name: string, input: string): Promise<unknown> => {
    const { stdout } = await saloraIn(['predict', '--run', `runs/${name}`, '--json', '--quiet'], { cwd, input })
    const [{ row: _, ...prediction }] = JSON.parse(stdout) as readonly [{ readonly row?: unknown }]
    return prediction
  }

  it('has the prediction of salora predict', async () => {
    expect(await viewOf('toy')).toEqual({ sentence: 'text', obstacle: null })
    const { status, answer } = await ask({ id: hashName('toy'), text: ' good fine film ' })
    expect({ status, answer }).toEqual({
      status: 200,
      answer: { message: '', prediction: nearly(await predicted('toy', 'good fine film')) },
    })
  })

  it.each(['pair', 'similar', 'found'])(
    'has two texts where the run was trained on pairs, with the prediction of salora predict: %s',
    async (name) => {
      expect(await viewOf(name)).toEqual({ sentence: 'pair', obstacle: null })
      const body = { id: hashName(name), text: 'the film 3', textPair: 'a soup of 4' }
      const { status, answer } = await ask(body)
      const expected = await predicted(name, 'the film 3\ta soup of 4\n')
      expect({ status, answer }).toEqual({ status: 200, answer: { message: '', prediction: nearly(expected) } })
      expect((await ask({ ...body, textPair: 'the film 3' })).answer.prediction).not.toEqual(expected)
      expect(await ask({ id: hashName(name), text: 'the film 3' })).toEqual({
        status: 409,
        answer: { message: expect.stringMatching(new RegExp(`${name}: expected two texts, as in the data of the run, got one$`)) },
      })
      if (name !== 'pair') expect(formatAnswer('the film 3', expected as object).headline).toMatch(/^cosine -?\d\.\d{4}$/)
    },
  )

  it('shows the entities of token classification within the text', async () => {
    expect(await viewOf('tagged')).toEqual({ sentence: 'text', obstacle: null })
    const text = '😀 Ann Sue went to Rome'
    const { answer } = await ask({ id: hashName('tagged'), text })
    expect(answer.prediction).toEqual(await predicted('tagged', text))
    const { parts } = formatAnswer(text, answer.prediction as object)
    expect(parts.map((part) => part.text).join('')).toBe(text)
    const { entities } = answer.prediction as { readonly entities: readonly { readonly word: string; readonly entity_group: string }[] }
    expect(entities.map(({ word }) => word)).toContain('Rome')
    expect(parts.flatMap(({ text: word, entity }) => (entity === null ? [] : [[word, entity.type]]))).toEqual(
      entities.map(({ word, entity_group }) => [word, entity_group]),
    )
  })

  it('is hidden with a reason for a run that writes text, and without one before there is an adapter', async () => {
    expect(await viewOf('writes')).toEqual({
      sentence: null,
      obstacle: 'This run writes text: salora generate and salora serve answer its prompts.',
    })
    expect(await viewOf('empty')).toMatchObject({ sentence: 'pair' }) // MRPC's
  })

  it.each([
    ['an unknown run', { id: 'x', text: 'good' }, 409, /^the board: expected a run of this folder, got an unknown one$/],
    ['a run without an adapter', { id: hashName('empty'), text: 'good' }, 409, /empty: expected a run with an adapter, got one without/],
    ['an empty text', { id: hashName('toy'), text: ' ' }, 400, /^expected a text of 1 to 5000 characters$/],
    ['a long text', { id: hashName('toy'), text: 'x'.repeat(sentenceLimit + 1) }, 400, /^expected a text of 1 to 5000 characters$/],
    ['a body that is too long', { id: hashName('toy'), text: 'x'.repeat(9 * sentenceLimit) }, 413, /^expected at most 40000 bytes$/],
    ['no object', 3, 400, /^expected a text of 1 to 5000 characters$/],
  ])('has one line for %s', async (_, body, status, message) => {
    expect(await ask(body)).toEqual({ status, answer: { message: expect.stringMatching(message) } })
  })
})

describe('the answer to a sentence', () => {
  it('keeps each character of the text once, whatever the places of the entities are', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.array(
          fc.record({
            entity_group: fc.string(),
            score: fc.double(),
            start: fc.integer({ min: 0, max: 30 }),
            end: fc.integer({ min: 0, max: 30 }),
          }),
        ),
        (text, entities) => {
          const { parts, headline } = formatAnswer(text, { entities })
          expect(parts.map((part) => part.text).join('')).toBe(text)
          expect(headline).toBe(entities.length === 0 ? 'no entity' : null)
        },
      ),
      { seed: SEED },
    )
  })

  it.each([
    [{ label: 'good', scores: { bad: 0.1, good: 0.9 } }, 'good'],
    [{ labels: ['a', 'b'], scores: {} }, 'a, b'],
    [{ value: 1.23456789 }, '1.23457'],
    [{ similarity: 0.98765 }, 'cosine 0.9877'],
    [{ embedding: [1, 2, 3] }, 'an embedding of 3 numbers'],
  ])('has a headline for %j', (prediction, headline) => {
    expect(formatAnswer('x', prediction).headline).toBe(headline)
  })
})

describe('the model for sentences', () => {
  const run = (folder: string) => ({ folder, result: null })

  it('is released before another one opens, and when the board closes; requests wait for their turn', async () => {
    const events: string[] = []
    const model = openSentenceModel(async (folder) => {
      events.push(`open ${folder}`)
      const predict = async ({ text }: { readonly text: string }) => {
        events.push(`predict ${text} with ${folder}`)
        return { label: text }
      }
      return { columns: { text: 'text' }, predict, release: async () => void events.push(`release ${folder}`) } as unknown as OpenRun
    })
    const answers = await Promise.all(
      [
        ['a', '1'],
        ['a', '2'],
        ['b', '3'],
        ['a', '4'],
      ].map(([folder = '', text = '']) => model.classify(run(folder), { text })),
    )
    expect(answers).toEqual(['1', '2', '3', '4'].map((label) => ({ label })))
    await model.close()
    expect(events).toEqual([
      ...['open a', 'predict 1 with a', 'predict 2 with a', 'release a', 'open b', 'predict 3 with b', 'release b'],
      ...['open a', 'predict 4 with a', 'release a'],
    ])
    await expect(model.classify(run('a'), { text: '5' })).rejects.toThrow(/try again/)
  })

  it('is opened again for a run that has ended again, since it has another adapter', async () => {
    let opened = 0
    const model = openSentenceModel(async () => {
      opened += 1
      return { columns: { text: 'text' }, predict: async () => ({ value: opened }), release: async () => undefined } as unknown as OpenRun
    })
    const ended = (stepsDone: number, finishedAt: string) => ({ ...run('a'), result: { stepsDone, finishedAt, seconds: 1 } as RunResult })
    const values = []
    for (const one of [ended(5, 'noon'), ended(5, 'noon'), ended(9, 'noon'), ended(9, 'night')])
      values.push(await model.classify(one, { text: 'x' }))
    await model.close()
    expect(values).toEqual([1, 1, 2, 3].map((value) => ({ value })))
  })

  it('has a bounded number of waiting requests, and opens again after a failure', async () => {
    let attempts = 0
    const model = openSentenceModel(async () => {
      attempts += 1
      if (attempts === 1) throw new Error('no memory')
      return { columns: { text: 'text' }, predict: async () => ({ value: 1 }), release: async () => undefined } as unknown as OpenRun
    })
    const asked = Array.from({ length: waitingLimit + 2 }, () =>
      model.classify(run('a'), { text: 'x' }).catch((thrown: Error) => thrown.message),
    )
    const answers = await Promise.all(asked)
    expect(answers[0]).toBe('no memory')
    expect(answers.slice(1, waitingLimit)).toEqual(Array.from({ length: waitingLimit - 1 }, () => ({ value: 1 })))
    expect(answers.slice(waitingLimit)).toEqual([
      expect.stringMatching(/at most 8 sentences/),
      expect.stringMatching(/at most 8 sentences/),
    ])
    expect(attempts).toBe(2)
    await model.close()
  })
})
