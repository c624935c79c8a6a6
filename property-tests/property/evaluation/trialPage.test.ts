/** The page of the trial on a GPU, of outcomes by hand. gpuTrial.test.ts rehearses the trial itself. */
import { describe, expect, it } from 'vitest'
import type { Outcome, TrialOptions } from '../../../evaluation/gpu/stage.js'
import { trialPage } from '../../../evaluation/gpu/trialTable.js'

const options: TrialOptions = { device: 'cpu', python: null, model: null, data: null, repeats: 2, small: false }

describe('the page of a trial on a GPU', () => {
  it('shows both sides of a step, and where the nodes ran', () => {
    const side = { milliseconds: 20, readySeconds: 1, peakBytes: 1e9, cardBytes: 3e9, versions: {} }
    const outcomes: ReadonlyArray<Outcome> = [
      {
        stage: 'a',
        title: 'Step',
        seconds: 9,
        facts: { ours: { precision: 'float32', ...side }, peer: { precision: 'float32', ...side, milliseconds: 30 } },
      },
      {
        stage: 'b',
        title: 'Run',
        seconds: 9,
        facts: { largestDifference: 1e-6, placement: { floatNodes: 900, onCpu: { Erf: 2, Log: 1 } } },
      },
    ]
    const page = trialPage(outcomes, options)
    expect(page).not.toContain('rehearsal')
    expect(page).toContain('| Step | float32 | 20.0 | 3.00 GB | float32 | 30.0 | 3.00 GB | 1.50 × |')
    expect(page).toContain('| Run | losses within 1.0e-6, 3 of 900 float nodes on the CPU | 9 |')
  })
})
