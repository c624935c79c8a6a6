/** Agreement on WebGPU, where there is a device: a GPU, or Mesa's software Vulkan. Skipped, by name, where there is none. */
import { describe, expect, it } from 'vitest'
import { probeDevice } from '../../accelerated/runtime/deviceProbe.js'
import { compareRun } from '../../evaluation/agreement/compareRun.js'
import { compareStep } from '../../evaluation/agreement/compareStep.js'
import { compareSteps } from '../../evaluation/agreement/compareSteps.js'
import { drawModel } from '../../evaluation/agreement/model.js'
import type { Target } from '../../evaluation/agreement/segment.js'
import { disagreements, someOptions } from './modelOptions.js'

const target: Target = { device: 'webgpu', dtype: 'float32' }
const { works } = await probeDevice('webgpu')

describe.skipIf(!works)('on webgpu (skipped where no WebGPU device works)', () => {
  it.each([{}, { rank: 1, lengths: [1] }, { gates: 'shut' }, { gates: 'open' }, { family: 'bert', problem: 'regression', layers: 2 }] as const)(
    'values and gradients agree to 1e-3: %j', async (change) => {
      expect(disagreements(await compareStep(drawModel(someOptions(change)), target))).toEqual([])
    })

  it('ten steps reach the same state to 1e-3', async () => {
    expect(disagreements(await compareSteps(drawModel(someOptions()), target, 10))).toEqual([])
  })

  it('a whole run agrees to 1e-3', async () => {
    expect(disagreements(await compareRun(drawModel(someOptions({ layers: 2 })), target, { retain: 'budget', gateAfter: 'soft', density: 0.5 }))).toEqual([])
  })
})
