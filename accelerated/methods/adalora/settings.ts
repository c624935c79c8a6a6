/** AdaLoRA's settings: PEFT's names and defaults, but for the schedule, which PEFT counts in steps and nobody can forget here. */
import { z } from 'zod'
import { maxRunSteps, type CommonSettings } from '../../settings/commonSettings.js'
import { setting, type SettingValues } from '../../settings/setting.js'
import { largestRank, lowRankSettings } from '../lowRankSettings.js'

/** Of the orthogonality term, here and in PEFT's file. */
export const largestWeight = 1e9

const rank = z.int().min(1).max(largestRank)
const fraction = z.number().min(0).lt(1)
const remembered = z.number().gt(0).lt(1)

/**
 * The shares are those of AdaLoRA's own GLUE scripts: 9 to 18 % of a run before the first cut (8,000 of MNLI's 85,900 steps, 600 of MRPC's
 * 3,450) and 44 to 58 % after the last. Half of the run at the final ranks is also what SaLoRA has, so that the two compare.
 */
export const adaloraSettings = {
  targetModules: lowRankSettings.targetModules,
  initR: setting('number', 'r', 'rank of each adapter at the start, and what alpha is divided by', rank.default(12)),
  targetR: setting('number', 'r', 'rank to end with, on average over the adapted matrices', rank.default(8)),
  loraAlpha: lowRankSettings.loraAlpha,
  loraDropout: lowRankSettings.loraDropout,
  tinitRatio: setting('number', 'fraction', 'of the run before the first triplets are cut', fraction.default(0.1)),
  tfinalRatio: setting('number', 'fraction', 'of the run after the last ones are, at the ranks that are left', fraction.default(0.5)),
  deltaT: setting(
    'number',
    'steps',
    'from one cut to the next; triplets may return in between',
    z.int().min(1).max(maxRunSteps).default(1),
  ),
  importanceBeta1: setting('number', 'number', 'what the average of importances keeps at each step', remembered.default(0.85)),
  importanceBeta2: setting('number', 'number', 'what the average of their uncertainties keeps', remembered.default(0.85)),
  orthRegWeight: setting(
    'number',
    'number',
    'of the mean distance of A and B from orthonormal',
    z.number().min(0).max(largestWeight).default(0.5),
  ),
} as const

export type AdaloraSettings = SettingValues<typeof adaloraSettings> & CommonSettings
