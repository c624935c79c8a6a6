/** A learning-rate schedule is one entry of a table: settings, flag, help, type and training then know it. */
import { describe, expect, it, vi } from 'vitest'
import type { Schedule } from '../../../accelerated/schedules/index.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { makeLearningRate } from '../../../accelerated/training/learningRate.js'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { allTrainFlags } from '../../../cli/options/trainFlags.js'
import { trainRequest } from '../../../cli/options/trainRequest.js'
import { settingsInputSource } from '../../support/settingsInputSource.js'

vi.mock('../../../accelerated/schedules/index.js', async (original) => {
  const stairs: Schedule = {
    summary: 'half as high with each quarter',
    warmup: true,
    rate: ({ peak, step, steps }) => peak / 2 ** Math.floor((4 * step) / steps),
    check: ({ end }) => (end === 0 ? { setting: 'lrEnd', expected: 'a number above 0', got: '0' } : null),
  }
  const { schedules } = await original<{ readonly schedules: object }>()
  return { schedules: { ...schedules, stairs } }
})

const stairs = (change: SettingsInput = {}) => resolveSettings({ ...change, lrSchedulerType: 'stairs' as 'linear' })

describe('a new schedule', () => {
  it('is a value of the setting, and gives the rate of each step after warm-up', () => {
    const rate = makeLearningRate(stairs({ learningRate: 8, warmupSteps: 2 }), 10)
    expect(Array.from({ length: 10 }, (_, step) => rate(step))).toEqual([0, 4, 8, 8, 4, 4, 2, 2, 1, 1])
  })

  it('validates its settings with the others', () =>
    expect(() => stairs({ lrEnd: 0 })).toThrow(/^lrEnd: expected a number above 0, got 0$/))

  it('is listed in the error for another name, in --help and in the type of the settings', () => {
    expect(() => resolveSettings({ lrSchedulerType: 'steps' as 'linear' })).toThrow(/polynomial, stairs, got "steps"$/)
    expect(allTrainFlags['lrSchedulerType']?.description).toContain('stairs (half as high with each quarter)')
    expect(settingsInputSource()).toContain(" | 'polynomial' | 'stairs'\n")
  })

  it('is selected by its flag', async () => {
    const { settings } = await trainRequest({ model: 'm', task: 'sentiment', lrSchedulerType: 'stairs' })
    expect(settings).toMatchObject({ lrSchedulerType: 'stairs' })
  })
})
