/** In Chromium, WebGPU has every float node of the steps of all methods, in both precisions that it takes. */
import { describe, expect, it } from 'vitest'
import { methods } from '../../accelerated/methods/index.js'
import { nameOf, stepCases, type StepCase } from '../kernels/stepCases.js'
import { hasChromium } from '../support/chromium.js'
import { placedInChromium } from './openedSteps.js'

/** SaLoRA's gated steps are among them; these are its others. */
const others = (['before', 'after'] as const).map(
  (stage): StepCase => ({ family: 'roberta', method: 'salora', precision: 'float32', gradientCheckpointing: false, stage }),
)
const cases = [...(await stepCases(['roberta'])), ...others]

const placed = placedInChromium()

describe.skipIf(!hasChromium)('a step on WebGPU in Chromium (skipped without Chromium)', () => {
  it('is looked up for all methods', () => expect(new Set(cases.map(({ method }) => method)).size).toBe(methods.length))

  it.each(cases.map((step) => [nameOf(step), step] as const))('has no float node on the processor: %s', async (_, step) => {
    const { onCpu, placed: share } = await placed(step)
    expect(onCpu).toEqual([])
    expect(share).toBeGreaterThan(0.9)
  })
})
