/** Extending a finished run: only to more steps than it took. */
import { expect, it } from 'vitest'
import { resolveSettings } from '../../../accelerated/training/settings.js'
import { findExtension } from '../../../finetuning/runs/runFolder.js'

const settings = (maxSteps: number | null, epochs = 3) => resolveSettings({ method: 'lora', maxSteps, epochs } as object)
const extended = (before: number | null, now: number | null, steps: number, done = 8, epochs = 3) =>
  findExtension({ settings: settings(before) }, { steps: 10, stepsDone: done }, settings(now, epochs), steps)

it('a finished run is extended to more steps than it took, with the length that it had', () => {
  expect(extended(10, 12, 12)).toEqual({ epochs: 3, maxSteps: 10, steps: 10, after: 8 })
  expect(extended(10, 9, 9)).toEqual({ epochs: 3, maxSteps: 10, steps: 10, after: 8 }) // it had stopped early
  expect(() => extended(10, 8, 8)).toThrow('--max-steps: expected more than the 8 steps that the finished run took, got 8 steps')
  expect(() => extended(10, null, 7, 8, 2)).toThrow('--epochs: expected more than the 8 steps that the finished run took, got 7 steps')
})

it('a run of the same length, or one that has not finished, is not extended', () => {
  expect(extended(10, 10, 10)).toBe(null)
  expect(findExtension({ settings: settings(10) }, null, settings(12), 12)).toBe(null)
})
