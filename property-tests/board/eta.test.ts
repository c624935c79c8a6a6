/** The remaining time on the board: from the last ten minutes of observations, so that an earlier speed is forgotten. */
import { expect, it } from 'vitest'
import { etaEstimator, plannedSteps } from '../../reporting/board/metrics.js'

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
