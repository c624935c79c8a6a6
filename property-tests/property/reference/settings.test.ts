import { describe, expect, it } from 'vitest'
import { defaultSettings, describeProblem, validate, type Settings } from '../../../reference/index.js'

const problems = (change: Partial<Settings>): readonly string[] => validate({ ...defaultSettings, ...change }).map(describeProblem)

describe('settings', () => {
  it("are valid and the paper's by default", () => {
    expect(defaultSettings).toMatchObject({
      rank: 8,
      alpha: 16,
      targetDensity: 0.5,
      beta: 0.1,
      tau: 1,
      gamma: -0.1,
      zeta: 1.1,
      gateStart: 0.2,
      gateEnd: 0.5,
      controlLearningRate: 0.01,
    })
    expect(validate(defaultSettings)).toEqual([])
    expect(problems({ clip: 1, targetDensity: 1, gateStart: 0, gateEnd: 1, beta: 0 })).toEqual([])
  })

  it.each<readonly [Partial<Settings>, string]>([
    [{ tau: 0 }, 'tau: expected a number > 0, got 0'],
    [{ gamma: 0.1 }, 'gamma: expected a number < 0, got 0.1'],
    [{ zeta: 1 }, 'zeta: expected a number > 1, got 1'],
    [{ targetDensity: 0 }, 'targetDensity: expected a number > 0 and ≤ 1, got 0'],
    [{ targetDensity: 1.5 }, 'targetDensity: expected a number > 0 and ≤ 1, got 1.5'],
    [{ rank: 0 }, 'rank: expected an integer ≥ 1, got 0'],
    [{ rank: 2.5 }, 'rank: expected an integer ≥ 1, got 2.5'],
    [{ beta: -1 }, 'beta: expected a number ≥ 0, got -1'],
    [{ learningRate: Number.NaN }, 'learningRate: expected a number > 0, got NaN'],
    [{ loraPlusRatio: 0 }, 'loraPlusRatio: expected a number > 0, got 0'],
    [{ controlLearningRate: 0 }, 'controlLearningRate: expected a number > 0, got 0'],
    [{ beta2: 1 }, 'beta2: expected a number from 0 to below 1, got 1'],
    [{ clip: 0 }, 'clip: expected a number > 0, got 0'],
    [{ initialLogTheta: Infinity }, 'initialLogTheta: expected a number, got Infinity'],
  ])('invalid settings are named, with what they may be and what they are: %j', (change, message) =>
    expect(problems(change)).toEqual([message]),
  )

  it('report all invalid values at once', () => {
    expect(problems({ gateStart: 0.6, rank: -1 })).toEqual([
      'rank: expected an integer ≥ 1, got -1',
      'gateStart: expected a number ≥ 0 and below gateEnd, got 0.6',
      'gateEnd: expected a number ≤ 1 and above gateStart, got 0.5',
    ])
    const wrong = { ...defaultSettings, ...(JSON.parse('{"retain":"most"}') as object) }
    expect(validate(wrong)).toEqual([{ setting: 'retain', expected: 'budget or paper or random or magnitude', got: 'most' }])
  })
})
