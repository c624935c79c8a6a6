/** Learning rates are those of transformers' schedulers, step by step. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { schedules, type ScheduleName } from '../../accelerated/schedules/index.js'
import { makeLearningRate } from '../../accelerated/training/learningRate.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { assertClose } from '../support/assertClose.js'
import { referenceSchedules } from '../support/referenceSchedules.js'
import { fixtures } from './golden.js'

const golden = JSON.parse(readFileSync(join(fixtures, 'schedules.json'), 'utf8')) as {
  readonly peak: number
  readonly cases: readonly {
    readonly name: ScheduleName
    readonly steps: number
    readonly warmupSteps: number
    readonly options: { readonly num_cycles?: number; readonly power?: number; readonly lr_end?: number }
    readonly rates: readonly number[]
  }[]
}

const bound = { relative: 1e-12, absolute: 1e-20 }

describe.each(golden.cases)(
  '$name in $steps steps, $warmupSteps of them warm-up, options $options',
  ({ name, steps, warmupSteps, options, rates }) => {
    const { num_cycles: cycles, power, lr_end: end } = options
    const of = (rate: (step: number) => number) => rates.map((_, step) => rate(step))

    it('has the rates of transformers in training', () => {
      const settings = resolveSettings({
        learningRate: golden.peak,
        lrSchedulerType: name,
        warmupSteps,
        ...(cycles === undefined ? {} : { lrSchedulerNumCycles: cycles }),
        ...(power === undefined ? {} : { lrSchedulerPower: power }),
        ...(end === undefined ? {} : { lrEnd: end }),
      })
      assertClose(of(makeLearningRate(settings, steps)), rates, bound)
    })

    it('has the rates of transformers in the reference', () =>
      assertClose(of(referenceSchedules[name]({ peak: golden.peak, steps, warmupSteps, cycles, power, end })), rates, bound))
  },
)

it('every schedule is compared with transformers', () =>
  expect([...new Set(golden.cases.map(({ name }) => name))].sort()).toEqual(Object.keys(schedules).sort()))
