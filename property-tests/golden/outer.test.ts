/** The outer update of replicas is a step of PyTorch's SGD with Nesterov momentum on their mean difference, in both derivations. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { differenceOf, outerUpdate } from '../../accelerated/training/outerUpdate.js'
import { outerUpdate as referenceUpdate, tensor, zerosLike } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { fixtures } from './golden.js'

const golden = JSON.parse(readFileSync(join(fixtures, 'outer.json'), 'utf8')) as {
  readonly cases: ReadonlyArray<{
    readonly rate: number
    readonly momentum: number
    readonly start: ReadonlyArray<number>
    readonly rounds: ReadonlyArray<{ readonly replicas: ReadonlyArray<ReadonlyArray<number>>; readonly parameters: ReadonlyArray<number> }>
  }>
}
const bound = { relative: 1e-13, absolute: 1e-14 }

describe.each(golden.cases)('with learning rate $rate and momentum $momentum', ({ rate, momentum, start, rounds }) => {
  it('has the parameters of PyTorch in training', () => {
    let state = { parameters: Float64Array.from(start), momentum: new Float64Array(start.length) } as Parameters<typeof outerUpdate>[0]
    for (const { replicas, parameters } of rounds) {
      const differences = replicas.map((replica) => differenceOf(state.parameters, Float64Array.from(replica)))
      state = outerUpdate(state, differences, { outerLr: rate, outerMomentum: momentum })
      assertClose(state.parameters, parameters, bound)
    }
  })

  it('has them in the reference', () => {
    let parameter = tensor([start.length], start)
    let velocity = zerosLike(parameter)
    for (const { replicas, parameters } of rounds) {
      const own = replicas.map((replica) => tensor([replica.length], replica))
      ;[parameter, velocity] = referenceUpdate({ learningRate: rate, momentum })(parameter, own, velocity)
      assertClose(parameter.data, parameters, bound)
    }
  })
})

it('adds up a constant difference to the sum of a geometric series', () => {
  const [outerLr, outerMomentum, difference, rounds] = [0.7, 0.9, Float32Array.of(1, -0.5), 12]
  let state = { parameters: Float32Array.of(0, 3), momentum: new Float32Array(2) } as Parameters<typeof outerUpdate>[0]
  for (let i = 0; i < rounds; i++) state = outerUpdate(state, [difference, difference], { outerLr, outerMomentum })
  // b after t rounds is (1 − μᵗ) / (1 − μ), and each round moves by η(1 + μb)
  const velocity = (t: number): number => (1 - outerMomentum ** t) / (1 - outerMomentum)
  const moved = Array.from({ length: rounds }, (_, t) => outerLr * (1 + outerMomentum * velocity(t + 1))).reduce((a, b) => a + b)
  assertClose(state.momentum, [velocity(rounds), -0.5 * velocity(rounds)], { relative: 1e-6 })
  assertClose(state.parameters, [-moved, 3 + 0.5 * moved], { relative: 1e-6 })
  expect(state.parameters).toBeInstanceOf(Float32Array)
})
