/** AdaLoRA's settings: PEFT's names and defaults. The schedule is in fractions of the run, where PEFT counts steps. */
import { z } from 'zod'
import { maxRunSteps, type CommonSettings } from '../../settings/commonSettings.js'
import { settingsViaSet, type SettingValues } from '../../settings/setting.js'
import { largestRank, lowRankSettings } from '../lowRankSettings.js'

/** The largest weight of the orthogonality term, here and in PEFT's file. */
export const largestWeight = 1e9

const rank = z.int().min(1).max(largestRank)
const fraction = z.number().min(0).lt(1)
const decay = z.number().gt(0).lt(1)

/**
 * The fractions follow AdaLoRA's own GLUE scripts. Before the first cut are 9 to 18 % of a run: 8,000 of MNLI's 85,900 steps, 600 of MRPC's
 * 3,450. After the last cut are 44 to 58 %. SaLoRA also trains for half of the run at its final ranks, so the two are comparable.
 */
export const adaloraSettings = {
  targetModules: lowRankSettings.targetModules,
  excludeModules: lowRankSettings.excludeModules,
  layersToTransform: lowRankSettings.layersToTransform,
  loraAlpha: lowRankSettings.loraAlpha,
  loraDropout: lowRankSettings.loraDropout,
  newTokens: lowRankSettings.newTokens,
  trainableTokens: lowRankSettings.trainableTokens,
  ...settingsViaSet('AdaLoRA options', {
    initR: {
      placeholder: 'r',
      description: 'Initial rank of each adapter; updates are scaled by alpha / init-r',
      schema: rank.default(12),
    },
    targetR: { placeholder: 'r', description: 'Final rank, averaged over the adapted matrices', schema: rank.default(8) },
    tinitRatio: {
      placeholder: 'fraction',
      description: 'Fraction of all steps before rank reduction starts',
      schema: fraction.default(0.1),
    },
    tfinalRatio: {
      placeholder: 'fraction',
      description: 'Fraction of all steps that train at the final ranks',
      schema: fraction.default(0.5),
    },
    deltaT: {
      placeholder: 'steps',
      description: 'Steps between rank reductions; a pruned triplet may return in between',
      schema: z.int().min(1).max(maxRunSteps).default(1),
    },
    importanceBeta1: { description: 'Decay of the moving average of importance', schema: decay.default(0.85) },
    importanceBeta2: { description: 'Decay of the moving average of uncertainty', schema: decay.default(0.85) },
    orthRegWeight: { description: 'Weight of the orthogonality regularization', schema: z.number().min(0).max(largestWeight).default(0.5) },
  }),
}

export type AdaloraSettings = SettingValues<typeof adaloraSettings> & CommonSettings
