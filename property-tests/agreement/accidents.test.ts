/** What ends a run instead of going into its result: numbers that are not finite, and gates that never ran. */
import { describe, expect, it } from 'vitest'
import { resolveSettings, type SettingsInput } from '../../accelerated/settings.js'
import { checkGatesRan, checkOutputs, checkStep } from '../../accelerated/training/accidents.js'
import { train, TrainingError, type TrainingResult, type TrainingTask } from '../../accelerated/training/train.js'
import type { RunState } from '../../accelerated/training/runState.js'
import { drawModel } from '../../evaluation/agreement/model.js'
import { sessionOf, startOfRun } from '../../evaluation/agreement/segment.js'
import { constants, toExamples } from '../../evaluation/agreement/translate.js'
import { someOptions } from './modelOptions.js'

const model = drawModel(someOptions({ dropout: 0, lengths: [3, 1, 4, 2] }))
const examples = toExamples(model.batch).map((example, i) => ({ ...example, row: 10 + i }))
const runFrom = async (state: Partial<RunState>, change: SettingsInput = {}, more: Partial<TrainingTask> = {}): Promise<TrainingResult> => {
  const task: TrainingTask = {
    config: model.config,
    frozen: constants(model.base, 'float64'),
    session: sessionOf({ device: 'cpu', dtype: 'float64' }),
    settings: resolveSettings({
      rank: model.settings.rank,
      alpha: model.settings.alpha,
      maxSteps: 10,
      batchSize: 2,
      precision: 'float64',
      maxLength: 5,
      device: 'cpu',
      ...change,
    }),
    training: examples,
    evaluation: examples,
    score: () => ({ scores: {}, selection: 0, constant: null }),
    ...more,
  }
  const events = train(task, { ...startOfRun(model, 'float64').accelerated, ...state }, null, new AbortController().signal)
  for (;;) {
    const next = await events.next()
    if (next.done === true) return next.value
  }
}

describe('a run that comes to its end', () => {
  it('is no success where its gates never ran, or not in each step of their window', async () => {
    await expect(runFrom({ step: 10 })).rejects.toThrow(
      "the run's end: expected 3 steps with sampled gates and retention after them, found 0 and none",
    )
    await expect(runFrom({ step: 10 })).rejects.toBeInstanceOf(TrainingError)
    await expect(runFrom({ step: 3 })).rejects.toThrow('found 2 and retention')
  })

  it('is none without retention, nor with a window of no steps', () => {
    const retained = { expectedDensity: 0.5, retainedDensity: 0.5, ranks: {}, lambda: 0 }
    expect(() => checkGatesRan({ start: 2, end: 5 }, { gatedStep: 3, retained })).not.toThrow()
    expect(() => checkGatesRan({ start: 2, end: 5 }, { gatedStep: 3, retained: null })).toThrow(
      'expected 3 steps with sampled gates and retention after them, found 3 and none',
    )
    expect(() => checkGatesRan({ start: 5, end: 5 }, { gatedStep: 0, retained })).toThrow(
      'expected 0 steps with sampled gates and retention after them, found 0 and retention',
    )
  })

  it('is one where they did, and where the method has none', async () => {
    expect((await runFrom({})).last).toMatchObject({ step: 10, gatedStep: 3, retained: { retainedDensity: expect.any(Number) as number } })
    expect((await runFrom({ step: 10 }, { method: 'lora' })).last.retained).toBeNull()
  })
})

describe('numbers that are not finite', () => {
  const fine = { step: 7, loss: 1, gradientNorm: 1 }
  const message = (check: () => void): string => {
    try {
      check()
    } catch (error) {
      return error instanceof TrainingError ? error.message : String(error)
    }
    return ''
  }
  it.each<readonly [string, Partial<typeof fine>, number, string]>([
    ['none', {}, 0, ''],
    ['a loss', { loss: NaN }, 0, 'step 7: expected a finite loss and gradient, found loss NaN and gradient norm 1; the batch is rows 4, 2'],
    [
      'a gradient',
      { gradientNorm: Infinity },
      0,
      'step 7: expected a finite loss and gradient, found loss 1 and gradient norm Infinity; the batch is rows 4, 2',
    ],
    [
      'a gradient that the norm does not cover',
      {},
      NaN,
      'step 7: expected finite gradients, found one that makes a parameter NaN; the batch is rows 4, 2',
    ],
    [
      'a gradient too large to step along',
      {},
      -Infinity,
      'step 7: expected finite gradients, found one that makes a parameter -Infinity; the batch is rows 4, 2',
    ],
  ])('%s', (_, change, parameter, expected) =>
    expect(message(() => checkStep({ ...fine, ...change }, { parameters: Float32Array.of(1, parameter) }, [4, 2]))).toBe(expected),
  )

  it('in an evaluation', () => {
    expect(
      message(() =>
        checkOutputs(
          8,
          [
            [0, 1],
            [NaN, 1],
          ],
          examples,
        ),
      ),
    ).toBe('step 8: expected finite outputs in the evaluation, found NaN, 1 for row 11')
    expect(
      message(() =>
        checkOutputs(
          8,
          [
            [0, 1],
            [2, 1],
          ],
          examples,
        ),
      ),
    ).toBe('')
  })

  it('end a training, in a step of several batches with the rows of them all, in an evaluation with its row', async () => {
    const lost = { parameters: startOfRun(model, 'float64').accelerated.parameters.map(() => NaN) }
    const said = await runFrom(lost, { batchSize: 1, accumulate: 4 }).then(
      () => '',
      (error: unknown) => (error as Error).message,
    )
    const [, rows] = /^step 1: expected a finite loss and gradient, found loss NaN .* rows ([\d, ]+)$/.exec(said) ?? []
    expect(rows?.split(', ').sort()).toEqual(['10', '11', '12', '13'])
    await expect(runFrom(lost, {}, { evaluateStart: true })).rejects.toThrow(
      /^step 0: expected finite outputs in the evaluation, found NaN.* for row 10$/,
    )
  })
})
