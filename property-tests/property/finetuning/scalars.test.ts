/** The numbers of a line of metrics.jsonl by their names in trackers. */
import { expect, it } from 'vitest'
import { scalarsOf } from '../../../finetuning/runs/metricsLine.js'

it('steps, evaluations and tests have names of their own, without the step and what is no number', () => {
  expect(scalarsOf({ kind: 'step', step: 3, loss: 0.5, density: null, note: 'x' })).toEqual([['train/loss', 0.5]])
  const scores = { loss: 1, accuracy: 0.75, f1: null }
  for (const kind of ['evaluation', 'test'])
    expect(scalarsOf({ kind, step: 3, scores, best: true })).toEqual([
      [`${kind}/loss`, 1],
      [`${kind}/accuracy`, 0.75],
    ])
  expect(scalarsOf({ kind: 'prune', step: 3, scores })).toEqual([])
})
