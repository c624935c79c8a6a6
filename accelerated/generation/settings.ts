/** Settings of generation, with what the command line says of each: flags, help and checks follow from this. */
import { z } from 'zod'
import { zodErrorMap } from '../errors/validate.js'
import { setting, type SettingValues } from '../settings/setting.js'
import { SettingsError } from '../errors/settingsError.js'
import type { Sampling } from './sampling.js'

const count = z.int().min(1)

export const generationSettings = {
  maxNewTokens: setting('number', 'tokens', "of an answer; fewer where the model's positions end", count.max(1_000_000).default(128)),
  numBeams: setting('number', 'n', 'texts kept in view by a beam search; 1: none', count.max(1_000).default(1)),
  lengthPenalty: setting(
    'number',
    'number',
    'of a beam search: log-probabilities are divided by length to this power, so that above 0 longer texts gain',
    z.number().min(-100).max(100).default(1),
  ),
  temperature: setting(
    'number',
    'number',
    'each token is drawn, from probabilities at this temperature; 0: the likeliest is taken (default: 0, or 1 with --top-k or --top-p)',
    z.number().min(0).max(1_000_000).nullable().default(null),
  ),
  topK: setting('number', 'n', 'tokens to draw from, the likeliest (default: all)', count.nullable().default(null)),
  topP: setting(
    'number',
    'probability',
    'of the tokens to draw from: the likeliest that have it together',
    z.number().gt(0).max(1).default(1),
  ),
  repetitionPenalty: setting(
    'number',
    'number',
    'what the scores of tokens that are there already are divided by (multiplied, below 0)',
    z.number().gt(0).max(1_000_000).default(1),
  ),
  seed: setting('number', 'n', 'of what is drawn', z.int().min(0).default(0)),
  batchSize: setting('number', 'prompts', 'answered together', count.max(65_536).default(8)),
} as const

export type GenerationInput = SettingValues<typeof generationSettings>

/** How tokens are drawn; null: not at all. */
export type ResolvedGeneration = Omit<GenerationInput, 'temperature' | 'topK' | 'topP'> & { readonly sampling: Sampling | null }

/** Fills in defaults and checks. @throws SettingsError for the first setting that is wrong, or that contradicts another */
export const resolveGeneration = (given: Partial<GenerationInput>): ResolvedGeneration => {
  const schema = z.object(Object.fromEntries(Object.entries(generationSettings).map(([name, { schema: own }]) => [name, own])))
  const parsed = schema.safeParse(given, { error: zodErrorMap })
  if (!parsed.success) {
    const [{ path = [], message } = { message: '' }] = parsed.error.issues
    const name = String(path[0] ?? '')
    throw new SettingsError(name, message, JSON.stringify((given as Readonly<Record<string, unknown>>)[name]) ?? 'nothing')
  }
  const { temperature: asked, topK, topP, ...rest } = parsed.data as GenerationInput
  const narrowed = topK !== null || topP < 1
  const temperature = asked ?? (narrowed ? 1 : 0)
  if (temperature === 0 && narrowed)
    throw new SettingsError('temperature', `above 0 with ${topK === null ? 'topP' : 'topK'}, which nothing is drawn without`, '0')
  if (temperature > 0 && rest.numBeams > 1) throw new SettingsError('numBeams', '1 where tokens are drawn', String(rest.numBeams))
  return { ...rest, sampling: temperature === 0 ? null : { temperature, topK, topP } }
}
