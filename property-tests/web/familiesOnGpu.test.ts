/** In Chromium, WebGPU has every float node of the steps of all methods on all families, and of all objectives. Minutes of opened sessions. */
import { describe, expect, it } from 'vitest'
import { allFamilies, nameOf, objectiveCases, stepCases } from '../kernels/stepCases.js'
import { hasChromium } from '../support/chromium.js'
import { placedInChromium } from './openedSteps.js'

const cases = [...(await stepCases(['embedded', ...allFamilies])), ...objectiveCases]

const placed = placedInChromium()

describe.skipIf(!hasChromium)('a step on WebGPU in Chromium (skipped without Chromium)', () => {
  it.each(cases.map((step) => [nameOf(step), step] as const))('has no float node on the processor: %s', async (_, step) => {
    const { onCpu, placed: share } = await placed(step)
    expect(onCpu).toEqual([])
    expect(share).toBeGreaterThan(0.5) // of decoders, many shapes of recomputed values are folded
  })
})
