/** The remaining time on the board: from the last ten minutes of observations, so that an earlier speed is forgotten. */
import { expect, it } from 'vitest'
import { etaEstimator } from '../../reporting/board/metrics.js'

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
