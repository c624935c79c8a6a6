/** The ranks that a run found, as the settings of an ordinary LoRA that starts with them: written for PEFT's LoraConfig, read for ours. */
import { join } from 'node:path'
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { methodOf, parseSettings, type Settings } from '../../accelerated/training/settings.js'
import { readRunConfig, readRunResult } from '../runs/runFiles.js'

/** Arguments of PEFT's LoraConfig. Paths begin within the encoder, so that they fit the bare encoder and a classifier alike. */
export type RankPattern = {
  readonly r: number
  readonly lora_alpha: number
  /** the matrices that kept a rank; PEFT has no rank 0 */
  readonly target_modules: ReadonlyArray<string>
  /** ranks other than r */
  readonly rank_pattern: Readonly<Record<string, number>>
  /** alpha · r_i / r, so that every matrix has the scale that the run trained with */
  readonly alpha_pattern: Readonly<Record<string, number>>
}

/** @throws Mistake where the folder has no finished run, one that pruned everything, or (unless forced) one too short for its ranks to mean anything */
export const rankPatternOfRun = async (run: string, force = false): Promise<RankPattern> => {
  const config = await readRunConfig(run)
  if (config === null) throw inputError(`--run ${run}`, 'the folder of a run of salora train', 'no config.json there')
  const file = join(run, 'result.json')
  const result = await readRunResult(run)
  if (result === null) throw inputError(file, 'the result of a finished run', 'none there')
  if (result.targetDensity != null && result.retainedDensity == null)
    throw inputError(file, 'the ranks that a run found', 'a run that ended before its gates were closed')
  if (result.ranksFixedAt === null) throw inputError(file, 'the ranks that a run found', 'a run that ended before its ranks were fixed')
  const { initR, rank = initR, loraAlpha, useRslora = false } = config.settings
  if (result.ranks === undefined || rank === undefined || loraAlpha === undefined)
    throw inputError(file, 'the ranks of a method that has some', `a run of ${config.settings.method}`)
  const method = methodOf(config.settings.method)
  const settings = { ...parseSettings({ method: method.name }), ...config.settings }
  const [doubt] = method.reporting?.warnings?.(settings, { step: 0, steps: result.extended?.[0]?.steps ?? result.steps }) ?? []
  if (doubt !== undefined && !force) throw inputError(file, 'ranks that mean something (--force prints them all the same)', doubt)
  const pattern = rankPattern(result.ranks, rank, useRslora ? loraAlpha * Math.sqrt(rank) : loraAlpha) // α / √r as plain LoRA has it
  if (pattern.target_modules.length === 0) throw inputError(file, 'a matrix that kept a rank', 'none')
  return pattern
}

export const rankPattern = (ranks: Readonly<Record<string, number>>, rank: number, alpha: number): RankPattern => {
  const kept = Object.entries(ranks).filter(([, r]) => r > 0)
  const others = kept.filter(([, r]) => r !== rank)
  return {
    r: rank,
    lora_alpha: alpha,
    target_modules: kept.map(([name]) => name),
    rank_pattern: Object.fromEntries(others),
    alpha_pattern: Object.fromEntries(others.map(([name, r]) => [name, (alpha * r) / rank])),
  }
}

const ranks = z.record(z.string(), z.int().min(0))
const schema = z.object({
  r: z.int().min(1),
  lora_alpha: z.number().positive(),
  target_modules: z.array(z.string()).min(1),
  rank_pattern: ranks.default({}),
  alpha_pattern: z.record(z.string(), z.number()).default({}),
})

/** The settings that a file of `salora rank-pattern` stands for. @throws Mistake: no such file, or scales that differ by matrix */
export const readRankPattern = async (file: string): Promise<Pick<Settings, 'rank' | 'loraAlpha' | 'targetModules' | 'rankPattern'>> => {
  const written = validate(schema, parseJson(await readText(file), file), file, 'the output of salora rank-pattern')
  const { r, lora_alpha: alpha, target_modules: targets, rank_pattern: pattern, alpha_pattern: alphas } = written
  for (const name of new Set([...Object.keys(pattern), ...Object.keys(alphas)])) {
    const wanted = (alpha * (pattern[name] ?? r)) / r
    if (Math.abs((alphas[name] ?? alpha) - wanted) > 1e-9 * wanted)
      throw inputError(file, `alpha_pattern ${wanted} for ${name} (one scale for all)`, String(alphas[name] ?? alpha))
  }
  return {
    rank: r,
    loraAlpha: alpha,
    targetModules: targets.map(within),
    rankPattern: Object.fromEntries(Object.entries(pattern).map(([name, rank]) => [within(name), rank])),
  }
}

/** A path within the encoder or decoder. */
const within = (name: string): string => name.replace(/^(roberta|bert|distilbert|electra|mpnet|model)\./, '')
