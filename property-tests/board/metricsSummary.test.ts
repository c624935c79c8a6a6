/** What a list shows of a run's metrics.jsonl, from lines by hand. */
import { describe, expect, it } from 'vitest'
import { metricsSummarizer, noMetrics } from '../../reporting/board/metrics.js'
import { runLine } from '../../reporting/board/runViews.js'
import type { WatchedRun } from '../../reporting/board/watchRun.js'

const summaryOf = (...events: ReadonlyArray<object | string>) => {
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
