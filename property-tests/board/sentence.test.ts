/** The board's field for a sentence: the answer of salora predict, one model at a time, within bounds, and one line for each error. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OpenRun } from '../../finetuning/serving/openRun.js'
import { openSentenceModel, sentenceLimit, waitingLimit } from '../../reporting/board/sentenceModel.js'
import { startBoard, type Board } from '../../reporting/board/server.js'
import { idOf } from '../../reporting/board/watch.js'
import { saloraIn } from '../cli/inProcess.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile } from '../cli/toyTask.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { follow, pageHeaders, send } from './boardClient.js'

let cwd = ''
let board: Board
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'salora-sentence-'))
  await writeTinyModel(join(cwd, 'tiny'))
  await writeFile(join(cwd, 'toy.tsv'), toyFile(40))
  const settings = ['--max-length', '16', '--max-steps', '6', '--batch-size', '8', '--method', 'lora', '--device', 'cpu', '--quiet']
  const { code } = await saloraIn(['train', '--model', join(cwd, 'tiny'), '--task', 'toy.tsv', ...settings, '--output', 'runs/toy'], {
    cwd,
  })
  expect(code).toBe(0)
  await writeRun(join(cwd, 'runs/empty'), {}) // a run without an adapter
  board = await startBoard({ folder: join(cwd, 'runs'), port: 0, redis: null })
})
afterAll(async () => {
  await board.close()
  await rm(cwd, { recursive: true })
})

const ask = async (body: unknown) => {
  const { status, text } = await send(board, '/predict', { method: 'POST', headers: pageHeaders(board), body: JSON.stringify(body) })
  return { status, answer: JSON.parse(text) as { readonly message: string; readonly prediction?: unknown } }
}

describe('a sentence on the board', () => {
  it('has the prediction of salora predict', async () => {
    const view = await follow(board, `view=run&id=${idOf('toy')}`)
    await expect.poll(() => view.state().run?.sentence).toBe('text')
    view.close()
    const { stdout } = await saloraIn(['predict', '--run', 'runs/toy', '--json', '--quiet'], { cwd, input: 'good fine film' })
    const [{ row: _, ...expected }] = JSON.parse(stdout) as readonly [{ readonly row?: unknown }]
    expect(await ask({ id: idOf('toy'), text: ' good fine film ' })).toEqual({ status: 200, answer: { message: '', prediction: expected } })
  })

  it.each([
    ['an unknown run', { id: 'x', text: 'good' }, 409, /^the board: expected a run of this folder, got an unknown one$/],
    ['a run without an adapter', { id: idOf('empty'), text: 'good' }, 409, /empty: expected a run with an adapter, got one without/],
    ['an empty text', { id: idOf('toy'), text: ' ' }, 400, /^expected a text of 1 to 5000 characters$/],
    ['a long text', { id: idOf('toy'), text: 'x'.repeat(sentenceLimit + 1) }, 400, /^expected a text of 1 to 5000 characters$/],
    ['a body that is too long', { id: idOf('toy'), text: 'x'.repeat(9 * sentenceLimit) }, 500, /^expected at most 40000 bytes$/],
    ['no object', 3, 400, /^expected a text of 1 to 5000 characters$/],
  ])('has one line for %s', async (_, body, status, message) => {
    expect(await ask(body)).toEqual({ status, answer: { message: expect.stringMatching(message) } })
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
