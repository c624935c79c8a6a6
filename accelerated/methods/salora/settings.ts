/** SaLoRA's settings: the paper's defaults where it gives one (§4.1, appendix B). */
import { z } from 'zod'
import { setting, type SettingValues } from '../../settings/setting.js'
import type { CommonSettings } from '../../settings/commonSettings.js'
import { lowRankSettings } from '../lowRankSettings.js'

const positive = z.number().positive()
const fraction = z.number().min(0).max(1)

export const saloraSettings = {
  ...lowRankSettings,
  density: setting('number', 'b', "share of the adapter's parameters to end with", z.number().gt(0).max(1).default(0.5)),
  beta: setting('number', 'number', 'weight of the orthogonality term', z.number().min(0).default(0.1)),
  tau: setting('number', 'number', 'temperature of the gates', positive.default(1)),
  gamma: setting('number', 'number', 'lower end of the stretched gate, below 0', z.number().negative().default(-0.1)),
  zeta: setting('number', 'number', 'upper end of the stretched gate, above 1', z.number().gt(1).default(1.1)),
  gateStart: setting('number', 'fraction', 'of the run after which gates are sampled', fraction.default(0.2)),
  gateEnd: setting('number', 'fraction', 'of the run after which the best triplets are retained', fraction.default(0.5)),
  retain: setting(
    'text',
    'rule',
    'budget (exactly the density asked for) or paper (every gate with a positive expectation); to compare with: random, or magnitude (of plain LoRA)',
    z.enum(['budget', 'paper', 'random', 'magnitude']).default('budget'),
  ),
  gateAfter: setting(
    'text',
    'how',
    'retained gates go on at their expectation, in B (soft) or as a constant (kept), or at 1 (binary)',
    z.enum(['soft', 'kept', 'binary']).default('soft'),
  ),
  warmupGate: setting(
    'text',
    'how',
    'gates before the window: 1 (open) or their expectation (expected)',
    z.enum(['open', 'expected']).default('open'),
  ),
  orthogonality: setting(
    'text',
    'how',
    'beta times the mean of the squared norms over all matrices, or their sum, equation (12) to the letter',
    z.enum(['mean', 'sum']).default('mean'),
  ),
  orthogonalityAfter: setting(
    'text',
    'how',
    'the term after the window: as before (unit), at the norms that were left (folded), or none (off)',
    z.enum(['unit', 'folded', 'off']).default('unit'),
  ),
  control: setting(
    'text',
    'rule',
    'of gates and multiplier: ramp (reaches the density), paper (Algorithm 1 to the letter, which seldom does), or free (no constraint at all: λ = 0)',
    z.enum(['ramp', 'paper', 'free']).default('ramp'),
  ),
  controlLearningRate: setting('number', 'rate', 'for gates and multiplier', positive.default(0.01)),
} as const

export type SaloraSettings = SettingValues<typeof saloraSettings> & CommonSettings
