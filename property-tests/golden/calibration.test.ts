/** Temperature scaling and the expected calibration error against scipy and torchmetrics. */
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { expectedCalibrationError, fitTemperature } from '../../finetuning/metrics/confidence.js'

type Golden = {
  readonly logits: readonly (readonly number[])[]
  readonly labels: readonly number[]
  readonly temperature: number
  readonly errorBefore: number
  readonly errorAfter: number
}

describe('calibration', () => {
  it('has the temperature of scipy and the errors of torchmetrics', async () => {
    const text = await readFile(new URL('fixtures/calibration.json', import.meta.url), 'utf8')
    const { temperature, errorBefore, errorAfter, ...rows } = JSON.parse(text) as Golden
    expect(fitTemperature(rows)).toBeCloseTo(temperature, 9)
    expect(expectedCalibrationError(rows)).toBeCloseTo(errorBefore, 6)
    expect(expectedCalibrationError(rows, temperature)).toBeCloseTo(errorAfter, 6)
  })

  it('stays as sure as 5 of 6 after four right answers of each class, and gives no answer to rows without information', () => {
    // two classes of four rows with logits ±1: σ(2 / T) = 5 / 6
    const right = { logits: [0, 0, 0, 0, 1, 1, 1, 1].map((label) => (label === 0 ? [1, -1] : [-1, 1])), labels: [0, 0, 0, 0, 1, 1, 1, 1] }
    expect(fitTemperature(right)).toBeCloseTo(2 / Math.log(5), 9)
    const wrong = { ...right, labels: [1, 1, 1, 1, 0, 0, 0, 0] }
    expect(fitTemperature(wrong)).toBeCloseTo(1_000, 6)
  })
})
