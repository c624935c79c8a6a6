/** The model of a step on several machines has the limits that follow by hand: no cost, no network, and one worker's timetable. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { efficiency, roundOf, stepSeconds, type NetworkStep } from '../../soak/networkModel.js'

const free = { publish: 0, read: 0, give: 0, take: 0, round: 0 }
const step: NetworkStep = {
  ...{ machines: 2, parts: 8, partSeconds: 2, parameterBytes: 0, gradientBytes: 0, bandwidth: 1, roundTrip: 0, costs: free },
}

it('is 1 where nothing travels and each machine has as many parts', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 8 }),
      (machines, each, partSeconds) => {
        expect(efficiency({ ...step, machines, parts: machines * each, partSeconds })).toBeCloseTo(1, 12)
      },
    ),
  )
})

it('is that of the leader alone where numbers never arrive', () => {
  for (const machines of [2, 4, 8]) {
    const slow = { ...step, machines, parameterBytes: 1_000 }
    expect([stepSeconds(slow), efficiency(slow)]).toEqual([16, 1 / machines])
  }
})

it('has the timetable of a leader and a worker', () => {
  // the worker starts after 0.1 + 0.2 + 3 × 0.05 + 1 s; each of its parts takes 2 + 0.3 + 2 × 0.05 + 2 s
  const one = { ...step, parts: 5, parameterBytes: 10, gradientBytes: 20, bandwidth: 10, roundTrip: 0.05 }
  const costs = { publish: 0.1, read: 0.2, give: 0.3, take: 0.4, round: 0.05 }
  // leader: 0.1, 2.15, 4.2, 6.25; worker: 1.45, 5.85: it takes the second and the fifth part, which arrives at 10.25
  expect(stepSeconds({ ...one, costs })).toBeCloseTo(10.25 + 0.4, 9)
})

it('has the timetable of a round: the moments of a replica travel in both directions', () => {
  const one = { ...step, machines: 2, parts: 2, partSeconds: 2, parameterBytes: 10, gradientBytes: 5, bandwidth: 10, roundTrip: 0.05 }
  const costs = { publish: 0.1, read: 0.2, give: 0.3, take: 0.4, round: 0.05 }
  const vector = { publish: 0.01, read: 0.02, give: 0.03, take: 0.04, round: 0 }
  // published after 0.1 + 4 × 0.01 s, at the worker after 0.2 + 3 × 0.05 + 1 s more. It reads 20 bytes in 2.1 s, takes 3 × 2 s, returns 25 in 2.6 s
  const worker = 0.14 + 1.35 + 2.1 + 0.04 + 6 + 0.3 + 0.06 + 2.6
  expect(stepSeconds(roundOf({ ...one, costs }, 3, vector))).toBeCloseTo(worker + 0.4 + 0.08, 9)
})
