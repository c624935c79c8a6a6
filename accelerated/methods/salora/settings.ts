/** SaLoRA's settings. Defaults are those of the paper where it gives one (§4.1, appendix B), but for the gates' window, which was measured. */
import { z } from 'zod'
import { gateEnd, gateStart } from '../../settings/defaults.js'
import { settingGroup, settingsViaSet, type SettingValues } from '../../settings/setting.js'
import type { CommonSettings } from '../../settings/commonSettings.js'
import { lowRankSettings } from '../lowRankSettings.js'

const positive = z.number().positive()
const fraction = z.number().min(0).max(1)

/** Earlier names: `paper` had Algorithm 1's plain steps, `free` λ = 0. Runs that were started with them resume. */
const controlSchema = z.union(
  [
    z.enum(['ramp', 'adam', 'descent']),
    z.number().min(0),
    z.enum(['paper', 'free']).transform((name): 'descent' | number => (name === 'paper' ? 'descent' : 0)),
  ],
  { error: 'ramp, adam, descent or a number of at least 0' },
)

export const saloraSettings = {
  ...lowRankSettings,
  ...settingGroup('SaLoRA options', {
    density: {
      placeholder: 'b',
      description: 'Fraction of the adapter parameters to keep',
      common: true,
      schema: z.number().gt(0).max(1).default(0.5),
    },
  }),
  ...settingsViaSet('SaLoRA options', {
    beta: { description: 'Weight of the orthogonality term', schema: z.number().min(0).default(0.1) },
    tau: { description: 'Temperature of the gates', schema: positive.default(1) },
    gamma: { description: 'Lower end of the stretched gate, below 0', schema: z.number().negative().default(-0.1) },
    zeta: { description: 'Upper end of the stretched gate, above 1', schema: z.number().gt(1).default(1.1) },
    gateStart: {
      placeholder: 'fraction',
      description: 'Fraction of all steps after which gates are sampled',
      schema: fraction.default(gateStart.value),
    },
    gateEnd: {
      placeholder: 'fraction',
      description: 'Fraction of all steps after which the adapter is pruned',
      schema: fraction.default(gateEnd.value),
    },
    retain: {
      placeholder: 'rule',
      description:
        'Pruning rule: budget (exactly the requested density) or paper (every gate with a positive expectation); baselines: random, magnitude (by plain LoRA weights)',
      schema: z.enum(['budget', 'paper', 'random', 'magnitude']).default('budget'),
    },
    gateAfter: {
      placeholder: 'how',
      description: 'Gates after pruning: soft (fold their expectation into B), kept (a constant factor) or binary (1)',
      schema: z.enum(['soft', 'kept', 'binary']).default('soft'),
    },
    warmupGate: {
      placeholder: 'how',
      description: 'Gates before sampling: open (1) or expected (their expectation)',
      schema: z.enum(['open', 'expected']).default('open'),
    },
    orthogonality: {
      placeholder: 'how',
      description: 'Reduce the orthogonality term over matrices by mean, or by sum as in equation (12)',
      schema: z.enum(['mean', 'sum']).default('mean'),
    },
    orthogonalityAfter: {
      placeholder: 'how',
      description: 'Orthogonality term after pruning: unit (unchanged), folded (at the remaining column norms) or off',
      schema: z.enum(['unit', 'folded', 'off']).default('unit'),
    },
    control: {
      placeholder: 'rule',
      description:
        "Density control: ramp (reaches the target early), adam (the paper's constant rate), descent (Algorithm 1's plain steps) or a number (constant λ of equation 10; 0 is no penalty)",
      schema: controlSchema.default('ramp'),
    },
    controlLearningRate: { placeholder: 'rate', description: 'Learning rate of gates and multiplier', schema: positive.default(0.01) },
  }),
}

export type SaloraSettings = SettingValues<typeof saloraSettings> & CommonSettings
