/** The length of a run that names neither epochs nor steps, the default learning rates, and runs too short for their method. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { methods } from '../../../accelerated/methods/index.js'
import { gateSchedule, stepsForWindow } from '../../../accelerated/methods/salora/gateControl.js'
import { encoderModel } from '../../../accelerated/models/bert/bert.js'
import { encoderConfig } from '../../../accelerated/models/bert/config.js'
import { peakLearningRate } from '../../../accelerated/training/learningRate.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { runLength, type RunLength } from '../../../accelerated/training/runLength.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { SEED } from '../../support/seed.js'

const model = encoderModel(
  encoderConfig(
    {
      ...{ model_type: 'roberta', vocab_size: 100, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2 },
      ...{ intermediate_size: 32, max_position_embeddings: 514, type_vocab_size: 1 },
    },
    'config.json',
  ),
)

const lengthOf = (input: SettingsInput, examples: number, heldOut = 0): RunLength => {
  const settings = resolveSettings({ method: 'lora', ...input })
  return runLength(findMethod(settings.method), settings, model, examples, false, heldOut)
}

describe('the length of a run', () => {
  it.each([
    [{}, 300, { steps: 350, stepsPerEpoch: 10, evalSteps: 20, chosenEpochs: 35 }],
    [{}, 100, { steps: 352, stepsPerEpoch: 4, evalSteps: 20, chosenEpochs: 88 }],
    [{}, 12_000, { steps: 1125, stepsPerEpoch: 375, evalSteps: 375, chosenEpochs: 3 }],
    [{ evalSteps: 7 }, 300, { steps: 350, stepsPerEpoch: 10, evalSteps: 7, chosenEpochs: 35 }],
    [{ epochs: 3 }, 300, { steps: 30, stepsPerEpoch: 10, evalSteps: 10, chosenEpochs: null }],
    [{ maxSteps: 5 }, 300, { steps: 5, stepsPerEpoch: 10, evalSteps: 10, chosenEpochs: null }],
    [{ batchSize: 4, gradientAccumulationSteps: 2 }, 300, { steps: 380, stepsPerEpoch: 38, evalSteps: 38, chosenEpochs: 10 }],
  ])('with %o on %i examples is %o', (input, examples, length) => {
    expect(lengthOf(input, examples)).toEqual(length)
  })

  it(`is three epochs and 350 steps at least, with one evaluation to twenty, and never an epoch too many (seed ${SEED})`, () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50_000 }), fc.integer({ min: 1, max: 64 }), (examples, batchSize) => {
        const { steps, stepsPerEpoch, evalSteps, chosenEpochs } = lengthOf({ batchSize }, examples)
        expect(steps).toBe((chosenEpochs ?? NaN) * stepsPerEpoch)
        expect(chosenEpochs).toBeGreaterThanOrEqual(3)
        expect(steps).toBeGreaterThanOrEqual(350)
        if (chosenEpochs !== 3) expect(steps - stepsPerEpoch).toBeLessThan(350)
        expect(Math.ceil(steps / evalSteps)).toBeGreaterThanOrEqual(1)
        expect(Math.ceil(steps / evalSteps)).toBeLessThanOrEqual(20)
      }),
      { seed: SEED },
    ))

  it(`scores at most half as many rows as it trains on, but evaluates four times (seed ${SEED})`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 20_000 }), (examples, heldOut) => {
        const { steps, stepsPerEpoch, evalSteps, chosenEpochs } = lengthOf({}, examples, heldOut)
        expect(evalSteps % stepsPerEpoch).toBe(0)
        const evaluations = Math.ceil(steps / evalSteps)
        if (evaluations > 4) expect(evaluations * heldOut).toBeLessThanOrEqual(((chosenEpochs ?? NaN) * examples) / 2)
      }),
      { seed: SEED },
    )
    expect([10, 500, 5_000].map((heldOut) => lengthOf({}, 300, heldOut).evalSteps)).toEqual([20, 40, 90]) // of 350: 18, 9 and 4 evaluations
    expect(lengthOf({ epochs: 3 }, 300, 5_000).evalSteps).toBe(10) // as long as the user says: every epoch
  })

  it('leaves SaLoRA enough steps with sampled gates, so that a default run has no warning', () => {
    for (const examples of [11, 100, 300, 1000, 3499, 20_000]) {
      const settings = resolveSettings({ method: 'salora' })
      const { steps } = lengthOf({ method: 'salora' }, examples)
      expect(findMethod('salora').reporting?.warnings?.(settings, { step: 0, steps })).toEqual([])
    }
  })

  it("warns below the paper's 1,380 gated steps at its constant rate, by which the odds of 11 fall to 1 in no less than ln 11 / 0.01 steps", () => {
    const warnings = (steps: number, input: SettingsInput = {}) => {
      const settings = resolveSettings({ method: 'salora', control: 'adam', gateStart: 0.2, gateEnd: 0.5, ...input })
      return findMethod('salora').reporting?.warnings?.(settings, { step: 0, steps })
    }
    expect(warnings(4598)).toEqual([
      "gates are sampled in only 1379 steps: at a constant rate of 0.01, the density needs at least 240 to come from 0.917 to 0.5, and about 1380 against a task's gradient, as in the paper. A run of 4600 steps is long enough; with control 'ramp', one of 134 is",
    ])
    expect([warnings(4600), warnings(460, { controlLearningRate: 0.1 }), warnings(10, { control: 'descent' })]).toEqual([[], [], []])
  })
})

describe('the window of gates', () => {
  it(`has at least as many steps as asked for in a run of stepsForWindow's length (seed ${SEED})`, () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 98 }),
        fc.integer({ min: 1, max: 99 }),
        fc.integer({ min: 1, max: 300 }),
        fc.nat(1000),
        (from, width, count, more) => {
          const window = { gateStart: from / 100, gateEnd: Math.min(1, (from + width) / 100) }
          const { start, end } = gateSchedule(window, stepsForWindow(window, count) + more)
          expect(end - start).toBeGreaterThanOrEqual(count)
        },
      ),
      { seed: SEED },
    ))

  it.each([
    [
      { method: 'salora', maxSteps: 1 },
      'maxSteps: expected more steps, so that salora can sample gates in one of them (between 0.02 and 0.15 of the run; 8 are enough), got 1 step',
    ],
    [
      { method: 'salora', epochs: 1 },
      'epochs: expected more steps, so that salora can sample gates in one of them (between 0.02 and 0.15 of the run; 8 are enough), got 1 step',
    ],
    [{ method: 'adalora', maxSteps: 1 }, 'maxSteps: expected at least 2 steps, so that adalora can prune in one of them, got 1 step'],
  ] as const)('of %o is refused by the length, not by settings that nobody gave', (input, message) => {
    expect(() => lengthOf(input, 20)).toThrow(message)
  })
})

describe('the default learning rate', () => {
  it('is the one of the method', () => {
    const expected = {
      ...{ salora: 4e-4, lora: 4e-4, adalora: 1e-3, houlsby: 1e-3, pfeiffer: 1e-3, prefix: 3e-3, prompt: 3e-3, ia3: 3e-3 },
      full: 5e-5,
    }
    const names = Object.keys(expected) as Array<keyof typeof expected>
    expect(names.sort()).toEqual(methods.map(({ name }) => name).sort())
    for (const method of names) expect(peakLearningRate({ ...resolveSettings({ method }), method })).toBe(expected[method])
    expect(resolveSettings({ method: 'lora' }).learningRate).toBeNull() // the model decides, where the user does not
  })

  it('is higher for lora and salora on a decoder or a probed encoder of less than 700 numbers a token, unless one is set', () => {
    const peak = (method: string, size: number, learningRate: number | null = null) => peakLearningRate({ method, learningRate }, size)
    expect(['lora', 'salora', 'adalora', 'full', 'prompt'].map((method) => peak(method, 576))).toEqual([1e-3, 1e-3, 1e-3, 5e-5, 3e-3])
    expect([peak('lora', 699), peak('lora', 700), peak('lora', 576, 4e-4)]).toEqual([1e-3, 4e-4, 4e-4])
  })
})
