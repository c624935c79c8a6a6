/** In Chromium, WebGPU has every float node of the steps of all methods on all families, and of all objectives. Minutes of opened sessions. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser } from 'playwright-core'
import { allFamilies, nameOf, objectiveCases, stepCases, type StepCase } from '../kernels/stepCases.js'
import { hasChromium, launchChromium, softwareCard } from '../support/chromium.js'
import { stepsPage, type PlacedStep } from './openedSteps.js'

const cases = [...(await stepCases(['embedded', ...allFamilies])), ...objectiveCases]

let browser: Browser | null = null
let placed = async (_: StepCase): Promise<PlacedStep> => ({ onCpu: [], placed: 0 })
beforeAll(async () => {
  if (!hasChromium) return
  browser = await launchChromium(...softwareCard)
  placed = await stepsPage(browser)
}, 60_000)
afterAll(async () => browser?.close())

describe.skipIf(!hasChromium)('a step on WebGPU in Chromium (skipped without Chromium)', () => {
  it.each(cases.map((step) => [nameOf(step), step] as const))('has no float node on the processor: %s', async (_, step) => {
    const { onCpu, placed: share } = await placed(step)
    expect(onCpu).toEqual([])
    expect(share).toBeGreaterThan(0.5) // of decoders, many shapes of recomputed values are folded
  })
})
