/** --test-data: a split that is scored once, after training, and takes no part in choosing the step. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { FinetuneEvent, FinetuneOptions, RunResult } from '../../finetuning/run/run.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('test-data', {})
const rows = (from: number, count: number, flip: number): string =>
  `text,label\n${Array.from({ length: count }, (_, i) => `${i % 2 === 0 ? 'fine' : 'poor'} film ${from + i},${(i % 2 === 0) === (i % flip !== 0) ? 'good' : 'bad'}`).join('\n')}\n`
beforeAll(async () => {
  await writeFile(join(cwd, 'train.csv'), rows(0, 80, 100))
  await writeFile(join(cwd, 'test.csv'), rows(1000, 20, 3))
})

const settings = {
  method: 'lora',
  device: 'cpu',
  ...{ maxSteps: 6, evalSteps: 2, batchSize: 8, maxLength: 16, learningRate: 0.02, rank: 4 },
} as const
const options = (output: string, task: Partial<FinetuneOptions['task']> = {}): FinetuneOptions => ({
  model: join(cwd, 'tiny'),
  task: { task: join(cwd, 'train.csv'), evalShare: 0.2, ...task },
  output: join(cwd, output),
  settings,
})
const eventsOf = async (given: FinetuneOptions, onEvent: (event: FinetuneEvent) => void = () => undefined) => {
  const controller = new AbortController()
  const events: FinetuneEvent[] = []
  for await (const event of finetuneJob(given, controller.signal)) {
    events.push(event)
    onEvent(event)
    if (stopAt?.(event) === true) controller.abort()
  }
  return events
}
let stopAt: ((event: FinetuneEvent) => boolean) | undefined
const json = async (...path: readonly string[]): Promise<RunResult> => JSON.parse(await readFile(join(cwd, ...path), 'utf8')) as RunResult
const losses = async (output: string): Promise<readonly unknown[]> =>
  jsonLines<Record<string, unknown>>(await readFile(join(cwd, output, 'metrics.jsonl'), 'utf8')).map(({ kind, step, loss, scores }) => ({
    kind,
    step,
    loss,
    scores,
  }))

describe('--test-data', () => {
  it('has the scores that evaluate finds for the saved adapter, in result.json, the card and the summary; training is the same without it', async () => {
    const flags = Object.entries({ ...settings, evalShare: 0.2 }).flatMap(([name, value]) => [
      `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      String(value),
    ])
    const train = ['train', '--model', 'tiny', '--task', 'train.csv', ...flags, '--output', 'tested']
    const { code, stdout } = await saloraIn([...train, '--test-data', 'test.csv'], { cwd })
    expect(code).toBe(0)
    const { test, kept, examples } = await json('tested', 'result.json')
    expect([test?.step, examples]).toEqual([kept?.step, { training: 64, evaluation: 16, test: 20 }])

    const evaluated = JSON.parse(
      (await saloraIn(['evaluate', '--run', 'tested', '--eval-data', 'test.csv', '--json'], { cwd })).stdout,
    ) as { readonly scores: Readonly<Record<string, number>> }
    expect(Object.keys(test?.scores ?? {})).toEqual(['accuracy', 'matthews', 'macroF1', 'loss'])
    for (const [name, score] of Object.entries(test?.scores ?? {})) expect(score, name).toBeCloseTo(evaluated.scores[name] ?? NaN, 5)

    const accuracy = test?.scores['accuracy']?.toFixed(4) ?? ''
    expect(stdout).toContain(`test (step ${kept?.step}, 20 rows that did not choose it)\n  accuracy      ${accuracy}\n`)
    const card = await readFile(join(cwd, 'tested', 'adapter', 'README.md'), 'utf8')
    expect(card).toContain(`| Accuracy | ${accuracy} |`)
    expect(card).toContain(`name: "test.csv"`)
    expect(card).toContain('--test-data test.csv')

    await saloraIn(['report', 'tested', '--output', 'report.html'], { cwd })
    const page = await readFile(join(cwd, 'report.html'), 'utf8')
    expect(page).toMatch(/<th[^>]*>(<[^>]*>)*test</)
    expect(page).toContain(`${(100 * (test?.scores['accuracy'] ?? NaN)).toFixed(1)} %`)

    await eventsOf(options('untested'))
    expect(await losses('tested')).toEqual(await losses('untested'))
    expect(await json('untested', 'result.json')).not.toHaveProperty('test')
    expect((await json('untested', 'result.json')).examples).toEqual({ training: 64, evaluation: 16 })
  })

  it('is not needed to evaluate the run, and a finished run prints its scores again', async () => {
    const events = await eventsOf(options('later', { testData: join(cwd, 'test.csv') }))
    const scores = events.flatMap((event) => (event.kind === 'test' ? [event.scores] : []))
    expect(scores).toHaveLength(1)
    expect(events.findLastIndex(({ kind }) => kind === 'evaluation')).toBeLessThan(events.findIndex(({ kind }) => kind === 'test'))
    const again = await saloraIn(['train', '--resume', '--output', 'later', '--json'], { cwd })
    expect((JSON.parse(again.stdout) as RunResult).test?.scores).toEqual(scores[0])
    const gone = join(cwd, 'gone.csv')
    await writeFile(gone, rows(1000, 20, 3))
    await writeFile(join(cwd, 'eval.csv'), rows(500, 10, 3))
    await eventsOf({ ...options('moved'), task: { task: join(cwd, 'train.csv'), evalData: join(cwd, 'eval.csv'), testData: gone } })
    await rm(gone)
    expect((await saloraIn(['evaluate', '--run', 'moved'], { cwd })).code).toBe(0)
  })

  it('is scored by a resumed run if a signal stopped it meanwhile, and must be the same file then', async () => {
    const testData = join(cwd, 'changing.csv')
    await writeFile(testData, rows(2000, 20, 3))
    stopAt = (event) => event.kind === 'evaluating' && event.step === 6 && event.examples === 20
    const stopped = await eventsOf(options('stopped', { testData })).finally(() => (stopAt = undefined))
    expect(stopped.some(({ kind }) => kind === 'test')).toBe(false)
    expect(await json('stopped', 'result.json')).toMatchObject({ interrupted: true, stepsDone: 6 })
    await writeFile(testData, rows(2000, 21, 3))
    const changed = await eventsOf({ ...options('stopped', { testData }), resume: true }).catch((error: unknown) => String(error))
    expect(changed).toMatch(/test rows/)
    await writeFile(testData, rows(2000, 20, 3))
    const resumed = await eventsOf({ ...options('stopped', { testData }), resume: true })
    expect(resumed.some(({ kind }) => kind === 'test')).toBe(true)
    expect(resumed.some(({ kind }) => kind === 'step')).toBe(false)
    expect((await json('stopped', 'result.json')).interrupted).toBe(false)
  })

  it('warns of test texts that are also trained on, or that choose the step', async () => {
    const events = await eventsOf(options('leaking', { testData: join(cwd, 'train.csv') }))
    const warnings = events.flatMap((event) => (event.kind === 'warning' ? [event.message] : []))
    expect(warnings).toContain(
      '64 of 80 test texts are also trained on, so their scores say little about new texts: --test-data with other texts',
    )
    expect(warnings).toContain(
      '16 of 80 test texts also choose the step, as evaluation texts, so their scores say little about new texts: --test-data with other texts',
    )
  })
})
