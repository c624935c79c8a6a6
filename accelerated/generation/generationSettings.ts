/** Settings of generation. Flags, --help and validation follow from this table. */
import { z } from 'zod'
import { zodErrorMap } from '../errors/validate.js'
import { settingGroup, type SettingValues } from '../settings/setting.js'
import { SettingsError } from '../errors/expectedErrors.js'
import { option, words } from '../errors/words.js'
import type { Sampling } from './sampling.js'

const count = z.int().min(1)

export const generationSettings = settingGroup('Generation', {
  maxNewTokens: {
    placeholder: 'tokens',
    description: 'Maximum number of new tokens',
    common: true,
    schema: count.max(1_000_000).default(128),
  },
  numBeams: { placeholder: 'n', description: 'Beam width (1: no beam search)', common: true, schema: count.max(1_000).default(1) },
  lengthPenalty: {
    description: 'Beam search divides log-probabilities by length to this power; values above 0 favor longer texts',
    schema: z.number().min(-100).max(100).default(1),
  },
  temperature: {
    description: 'Sampling temperature (0: take the most likely token)',
    defaultText: '0, or 1 with --top-k or --top-p',
    common: true,
    schema: z.number().min(0).max(1_000_000).nullable().default(null),
  },
  topK: {
    placeholder: 'k',
    description: 'Sample from the k most likely tokens',
    defaultText: 'all tokens',
    common: true,
    schema: count.nullable().default(null),
  },
  topP: {
    placeholder: 'probability',
    description: 'Sample from the most likely tokens that together have this probability',
    common: true,
    schema: z.number().gt(0).max(1).default(1),
  },
  repetitionPenalty: { description: 'Penalty on tokens that already occur (1: none)', schema: z.number().gt(0).max(1_000_000).default(1) },
  presencePenalty: {
    description: 'Subtracted from the logits of tokens that the answer already has',
    schema: z.number().min(-2).max(2).default(0),
  },
  frequencyPenalty: { description: 'The same, times how often the answer has the token', schema: z.number().min(-2).max(2).default(0) },
  seed: { placeholder: 'n', description: 'Random seed of sampling', common: true, schema: z.int().min(0).default(0) },
  batchSize: { placeholder: 'prompts', description: 'Prompts per batch', schema: count.max(65_536).default(8) },
})

export type GenerationInput = SettingValues<typeof generationSettings>

/** Settings with resolved sampling; null: greedy. */
export type ResolvedGeneration = Omit<GenerationInput, 'temperature' | 'topK' | 'topP'> & { readonly sampling: Sampling | null }

/** Validates settings and fills in defaults. @throws SettingsError for the first setting that is wrong, or that contradicts another */
export const resolveGeneration = (input: Partial<GenerationInput>): ResolvedGeneration => {
  const schema = z.object(Object.fromEntries(Object.entries(generationSettings).map(([name, { schema: one }]) => [name, one])))
  const parsed = schema.safeParse(input, { error: zodErrorMap })
  if (!parsed.success) {
    const [{ path = [], message } = { message: '' }] = parsed.error.issues
    const name = String(path[0] ?? '')
    throw new SettingsError(name, message, JSON.stringify((input as Readonly<Record<string, unknown>>)[name]) ?? 'nothing')
  }
  const { temperature: requested, topK, topP, ...rest } = parsed.data as GenerationInput
  const limitsTokens = topK !== null || topP < 1
  const temperature = requested ?? (limitsTokens ? 1 : 0)
  if (temperature === 0 && limitsTokens)
    throw new SettingsError('temperature', words`above 0 with ${option(topK === null ? 'topP' : 'topK')}, since sampling needs it`, '0')
  if (temperature > 0 && rest.numBeams > 1) throw new SettingsError('numBeams', '1 with sampling', String(rest.numBeams))
  return { ...rest, sampling: temperature === 0 ? null : { temperature, topK, topP } }
}
