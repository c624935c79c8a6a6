/** PEFT's adapter_config.json of AdaLoRA: LoRA's keys, the schedule of the run, and which triplets remain. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson } from '../../storage/json.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { scheduleOf } from '../../methods/adalora/schedule.js'
import { largestWeight, type AdaloraSettings } from '../../methods/adalora/settings.js'
import { largestWrittenAlpha } from '../../methods/lowRankSettings.js'
import { maxRunSteps, type CommonSettings } from '../../settings/commonSettings.js'
import { loraConfig } from './peftConfig.js'

const count = z.int().min(0).max(maxRunSteps)
const number = z.number().min(-largestWeight).max(largestWeight)

/** With PEFT's defaults. It ignores r, alpha_pattern and use_rslora, and an alpha of 0 or less means something else. */
const adaloraConfig = loraConfig.omit({ r: true, alpha_pattern: true, use_rslora: true }).extend({
  peft_type: z.literal('ADALORA'),
  init_r: z.int().min(1).max(65_536).default(12),
  target_r: count.default(8),
  lora_alpha: z.number().gt(0).max(largestWrittenAlpha),
  total_step: z.int().min(1).max(maxRunSteps),
  tinit: count.default(0),
  tfinal: count.default(0),
  deltaT: z.int().min(1).max(maxRunSteps).default(1),
  beta1: number.default(0.85),
  beta2: number.default(0.85),
  orth_reg_weight: number.default(0.5),
  rank_pattern: z.record(z.string().max(10_000), z.array(z.boolean())).nullish(),
  use_dora: z.literal(false).nullish(),
})

export type AdaloraConfig = z.infer<typeof adaloraConfig>

/** Parses the text of an adapter_config.json. `where` is the file's name in messages. @throws InputError */
export const parseAdaloraConfig = (text: string, where: string): AdaloraConfig => {
  const config = validate<AdaloraConfig>(adaloraConfig, parseJson(text, where), where, 'an AdaLoRA configuration')
  const { tinit, tfinal, total_step: steps } = config
  if (tinit >= steps - tfinal) throw inputError(where, `tinit + tfinal below total_step ${steps}`, `${tinit} + ${tfinal}`)
  return config
}

/** Which triplets of each module remain; undefined for a module without a pattern. @throws InputError if a pattern fits no module or rank */
export const keptTriplets = (
  { rank_pattern: pattern, init_r: rank }: AdaloraConfig,
  paths: readonly string[],
  where: string,
): readonly (readonly boolean[] | undefined)[] => {
  const keys = paths.map((path) => `${path}.lora_E`)
  const stray = Object.keys(pattern ?? {}).find((key) => !keys.includes(key))
  if (stray !== undefined) throw inputError(where, 'a rank_pattern of adapted matrices', quoted(stray, 120))
  return keys.map((key) => {
    const kept = pattern?.[key]
    if (kept !== undefined && kept.length !== rank)
      throw inputError(where, `rank_pattern.${key} of init_r ${rank} triplets`, String(kept.length))
    return kept
  })
}

/** PEFT's keys for the settings of a run. PEFT needs a length and a schedule even for a run that stopped before its first step. */
export const runConfig = (settings: AdaloraSettings, steps: number | null): Readonly<Record<string, unknown>> => {
  const { warmup, final } = steps === null ? { warmup: 0, final: 0 } : scheduleOf(settings, steps)
  return {
    peft_type: 'ADALORA',
    init_r: settings.initR,
    target_r: settings.targetR,
    lora_alpha: settings.loraAlpha,
    total_step: steps ?? 1,
    tinit: warmup,
    tfinal: final,
    deltaT: settings.deltaT,
    beta1: settings.importanceBeta1,
    beta2: settings.importanceBeta2,
    orth_reg_weight: settings.orthRegWeight,
    lora_dropout: settings.loraDropout,
    bias: 'none',
    init_lora_weights: true,
  }
}

/** The settings of the run that wrote a configuration. PEFT bounds them less than we bound a user's, so they are not checked again. */
export const runSettings = (
  config: AdaloraConfig,
): Omit<AdaloraSettings, keyof CommonSettings | 'targetModules' | 'newTokens' | 'trainableTokens'> => ({
  initR: config.init_r,
  targetR: config.target_r,
  loraAlpha: config.lora_alpha,
  loraDropout: config.lora_dropout ?? 0,
  tinitRatio: config.tinit / config.total_step,
  tfinalRatio: config.tfinal / config.total_step,
  deltaT: config.deltaT,
  importanceBeta1: config.beta1,
  importanceBeta2: config.beta2,
  orthRegWeight: config.orth_reg_weight,
})
