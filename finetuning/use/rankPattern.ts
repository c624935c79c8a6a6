/** The ranks of a finished run as settings of plain LoRA: written in the form of PEFT's LoraConfig, read back as settings. */
import { join } from 'node:path'
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { filePrefixes } from '../../accelerated/methods/targetedMatrices.js'
import { findMethod, parseSettings, type Settings } from '../../accelerated/training/resolveSettings.js'
import { readRunConfig, readRunResult } from '../run/runFiles.js'

/** Arguments of PEFT's LoraConfig. Paths begin inside the encoder, so they fit the bare encoder and a classifier. */
export type RankPattern = {
  readonly r: number
  readonly lora_alpha: number
  /** The matrices with a rank above 0; PEFT has no rank 0. */
  readonly target_modules: readonly string[]
  /** The matrices whose rank is not r. */
  readonly rank_pattern: Readonly<Record<string, number>>
  /** alpha · r_i / r, so every matrix keeps the scale of the run. */
  readonly alpha_pattern: Readonly<Record<string, number>>
}

/** @throws InputError if the folder has no finished run, the run pruned every matrix, or (unless `force`) it was too short for meaningful ranks */
export const rankPatternOfRun = async (run: string, force = false): Promise<RankPattern> => {
  const config = await readRunConfig(run)
  if (config === null) throw inputError(words`${option('run')} ${run}`, 'the folder of a run of salora train', 'no config.json there')
  const file = join(run, 'result.json')
  const result = await readRunResult(run)
  if (result === null) throw inputError(file, 'the result of a finished run', 'none there')
  if (result.targetDensity != null && result.retainedDensity == null)
    throw inputError(file, 'the ranks that a run found', 'a run that ended before its gates were closed')
  if (result.ranksFixedAt === null) throw inputError(file, 'the ranks that a run found', 'a run that ended before its ranks were fixed')
  const { initR, rank = initR, loraAlpha, useRslora = false } = config.settings
  if (result.ranks === undefined || rank === undefined || loraAlpha === undefined)
    throw inputError(file, 'the ranks of a method that has some', `a run of ${config.settings.method}`)
  const method = findMethod(config.settings.method)
  const settings = { ...parseSettings({ method: method.name }), ...config.settings }
  const [warning] = method.reporting?.warnings?.(settings, { step: 0, steps: result.extended?.[0]?.steps ?? result.steps }) ?? []
  if (warning !== undefined && !force)
    throw inputError(file, words`ranks that mean something (${option('force', true)} prints them all the same)`, warning)
  const pattern = rankPattern(result.ranks, rank, useRslora ? loraAlpha * Math.sqrt(rank) : loraAlpha) // rsLoRA's scale α / √r, as plain LoRA's α / r
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

/** Reads a file of `salora rank-pattern` as settings. @throws InputError if the file is missing or its scales differ by matrix */
export const readRankPattern = async (file: string): Promise<Pick<Settings, 'rank' | 'loraAlpha' | 'targetModules' | 'rankPattern'>> => {
  const parsed = validate(schema, parseJson(await readText(file), file), file, 'the output of salora rank-pattern')
  const { r, lora_alpha: alpha, target_modules: targets, rank_pattern: pattern, alpha_pattern: alphas } = parsed
  for (const name of new Set([...Object.keys(pattern), ...Object.keys(alphas)])) {
    const expected = (alpha * (pattern[name] ?? r)) / r
    if (Math.abs((alphas[name] ?? alpha) - expected) > 1e-9 * expected)
      throw inputError(file, `alpha_pattern ${expected} for ${name} (one scale for all)`, String(alphas[name] ?? alpha))
  }
  return {
    rank: r,
    loraAlpha: alpha,
    targetModules: targets.map(within),
    rankPattern: Object.fromEntries(Object.entries(pattern).map(([name, rank]) => [within(name), rank])),
  }
}

/** The path inside the encoder or decoder. */
const within = (name: string): string => name.slice(filePrefixes.findLast((prefix) => name.startsWith(prefix))?.length)
