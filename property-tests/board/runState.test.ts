/** What a list shows of a run: the numbers of its metrics.jsonl, its status, and the remaining time. */
import { describe, expect, it } from 'vitest'
import { etaEstimator, metricsSummarizer, noMetrics, plannedSteps, chooseStatus, type WatchedRun } from '../../reporting/board/watchRun.js'
import { runLine } from '../../reporting/board/views.js'
import type { RunLine } from '../../reporting/board/events.js'
import type { Html } from '../../reporting/text/html.js'
import { runList, runTable } from '../../reporting/views/lists.js'

const summaryOf = (...events: readonly (object | string)[]) => {
  const { onLine, summary, onReset } = metricsSummarizer()
  for (const event of events) onLine(Buffer.from(typeof event === 'string' ? event : JSON.stringify(event)))
  const before = summary()
  onReset()
  return { ...before, reset: summary() }
}
const step = (at: number, more: object = {}) => ({ kind: 'step', step: at, tokens: 10, tokensPerSecond: 10 / at, ...more })
const evaluation = (at: number, accuracy: number, best: boolean) => ({ kind: 'evaluation', step: at, scores: { accuracy }, best })

describe('the summary of metrics', () => {
  it('has the numbers of the newest step', () => {
    const newest = { taskLoss: 0.25, loss: 9, density: 0.5, lambda: 3, tokensPerSecond: 40 }
    expect(summaryOf(step(1, { taskLoss: 1 }), step(2, newest))).toMatchObject({
      ...{ step: 2, loss: 0.25, density: 0.5, lambda: 3, tokensPerSecond: 40, invalidLines: 0 },
    })
  })

  it('has the mean time of the newest 32 steps', () => {
    // step i takes i seconds: 9, …, 40 of forty steps
    expect(summaryOf(...Array.from({ length: 40 }, (_, i) => step(i + 1))).secondsPerStep).toBe((9 + 40) / 2)
    expect(summaryOf(step(1), step(3)).secondsPerStep).toBe(2)
    expect(summaryOf({ kind: 'step', step: 1 }).secondsPerStep).toBe(null)
  })

  it('has the newest best evaluation beside the last one', () => {
    const { best, last } = summaryOf(evaluation(1, 0.5, true), evaluation(2, 0.75, true), evaluation(3, 0.25, false))
    expect([best, last]).toEqual([
      { step: 2, scores: { accuracy: 0.75 } },
      { step: 3, scores: { accuracy: 0.25 } },
    ])
  })

  it('says by which metric a run is selected, where one of them is: of a loss, the smallest', () => {
    const scores = { precision: 0.3, f1: 0.25, loss: 0.5 }
    const selectedBy = (selection: number) => summaryOf({ kind: 'evaluation', step: 1, scores, selection }).last?.selectedBy
    expect([0.25, -0.5, 0.275].map(selectedBy)).toEqual(['f1', 'loss', undefined])
    const run = { name: 'tagged', config: null, result: null, metrics: summaryOf({ kind: 'evaluation', step: 1, scores, selection: 0.25 }) }
    expect(runLine({ ...run, reason: null } as unknown as WatchedRun).score).toMatchObject({ metric: 'f1', value: 0.25 })
  })

  it('has the curve of the selecting score, of thousands of evaluations a few dozen points', () => {
    const selected = (at: number) => ({ kind: 'evaluation', step: at, scores: { loss: at, f1: 1 / at }, selection: 1 / at })
    const line = (count: number) =>
      runLine({
        ...{ name: 'one', config: null, result: null, reason: null },
        metrics: summaryOf(...Array.from({ length: count }, (_, i) => selected(i + 1))),
      } as unknown as WatchedRun)
    expect(line(3).curve).toEqual([
      [1, 1],
      [2, 0.5],
      [3, 0.3333],
    ])
    expect(line(5000).curve.length).toBeLessThan(40)
    expect(line(5000).curve.at(-1)?.[0]).toBe(5000)
  })

  it('has the steps of an epoch, to the nearest', () => {
    const stepsPerEpoch = (at: number, epoch: number) => summaryOf(step(at, { epoch })).stepsPerEpoch
    expect([stepsPerEpoch(3, 0.43), stepsPerEpoch(3, 0.42), stepsPerEpoch(14, 2), stepsPerEpoch(1, 3)]).toEqual([7, 7, 7, 1])
    expect(summaryOf(step(14, { epoch: 2 }), step(15, { epoch: 0 })).stepsPerEpoch).toBe(7)
  })

  it('counts lines that are no events, and forgets everything at a reset', () => {
    const { invalidLines, reset } = summaryOf('{"kind":"st', '[]', '{"step":-1}', '{"step":0.5}', step(1), evaluation(1, 1, true))
    expect(invalidLines).toBe(4)
    expect(reset).toEqual(noMetrics)
  })
})

describe('a list of runs', () => {
  const named = (name: string, method: string, value: number): RunLine =>
    ({
      ...{
        id: name,
        name,
        task: 'reviews',
        method,
        status: 'finished',
        reason: null,
        step: 4,
        steps: 4,
        secondsLeft: null,
        loss: null,
        tokensPerSecond: null,
      },
      ...{
        score: { metric: 'accuracy', value, evaluation: 'best' },
        curve: [
          [2, 0.5],
          [4, value],
        ],
      },
    }) as unknown as RunLine
  const runs = [named('a', 'salora', 0.5), named('b', 'lora', 0.625), named('c', 'salora', 0.75), named('d', 'lora', 0.875)]
  const order = { column: 'status', isDescending: false }
  const reader = { order, words: '', status: '', selected: new Set<string>() }
  const cells = ({ html }: Html): readonly string[] =>
    [...html.matchAll(/row-(\w)|aria-label="(accuracy[^"]*)"|([+−][\d.]+ points)/g)].map(([, ...found]) => found.join(''))

  it('has equal ones by method, the best first, each with its curve in words', () =>
    expect(cells(runList(runs, reader))).toEqual(
      [
        ['d', 87.5],
        ['b', 62.5],
        ['c', 75],
        ['a', 50],
      ].flatMap(([name, score]) => [name, `accuracy: 50.0 % at step 2, ${Number(score).toFixed(1)} % at step 4`]),
    ))

  it('has the distance from the first one where runs are compared', () =>
    expect(cells(runTable(runs.slice(0, 3), null)).filter((cell) => !cell.startsWith('accuracy'))).toEqual([
      'a',
      'b',
      '+12.5 points',
      'c',
      '+25.0 points',
    ]))
})

describe('the status of a run', () => {
  const lock = (lives: boolean | null, silent = 0) => ({ lives, silent })
  it.each([
    ['finished', { result: { interrupted: false }, locks: [lock(true)] }],
    ['running', { result: { interrupted: true }, locks: [lock(true)] }],
    ['running', { locks: [lock(false), lock(null, 119_000)] }],
    ['crashed', { locks: [lock(false), lock(null, 121_000)] }],
    ['interrupted', { result: { interrupted: true }, locks: [lock(false)], hasFailed: true }],
    ['failed', { hasFailed: true, locks: [lock(false)] }],
    ['running', { hasFailed: true, locks: [lock(true)] }],
    ['running', { isDamaged: true, locks: [lock(true)] }],
    ['unreadable', { isDamaged: true, hasConfig: false }],
    ['waiting', { hasConfig: false }],
    ['failed', {}],
  ] as const)('is %s with the signs %j', (status, signs) => {
    expect(chooseStatus({ hasConfig: true, result: null, locks: [], hasFailed: false, isDamaged: false, ...signs })).toBe(status)
  })
})

const unknown = { secondsPerStep: null }

it('the remaining time is that of the speed in the last ten minutes', () => {
  const { observe, secondsFor } = etaEstimator()
  const minute = 60_000
  for (let i = 0; i <= 10; i++) observe(10 * i, i * minute) // ten steps a minute
  expect(secondsFor(10, unknown)).toBe(60)
  for (let i = 1; i <= 20; i++) observe(100 + i, (10 + i) * minute) // one step a minute
  expect(secondsFor(10, unknown)).toBe(600)
})

it('a few steps, or a few seconds, are no observation', () => {
  const { observe, secondsFor } = etaEstimator()
  expect(secondsFor(10, unknown)).toBe(null)
  observe(1, 0)
  observe(5, 100_000)
  expect(secondsFor(10, { secondsPerStep: 2 })).toBe(20)
  observe(6, 105_000)
  expect(secondsFor(10, { secondsPerStep: 2 })).toBe((10 * 105) / 5)
})

it('after a resume from an earlier step, the observations begin again', () => {
  const { observe, secondsFor } = etaEstimator()
  for (let i = 0; i <= 4; i++) observe(1 + 5 * i, 10_000 * i)
  expect(secondsFor(10, { secondsPerStep: 0.5 })).toBe(20)
  observe(8, 50_000)
  expect(secondsFor(10, { secondsPerStep: 0.5 })).toBe(5)
})

it('the planned steps come from max steps or from epochs', () => {
  const planned = (settings: object, stepsPerEpoch: number | null) => plannedSteps({ settings: settings as never }, stepsPerEpoch)
  expect(planned({ maxSteps: 7, epochs: 3 }, null)).toBe(7)
  expect(planned({ maxSteps: null, epochs: 2.5 }, 4)).toBe(10)
  expect(planned({ maxSteps: null, epochs: 3 }, null)).toBeNull()
})
