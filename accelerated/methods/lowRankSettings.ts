/** Settings that every method with low-rank adapters shares. */
import { z } from 'zod'
import { settingGroup } from '../settings/setting.js'

/** A rank pattern may multiply a matrix's rank by up to this factor. PEFT's file then has an alpha that is larger by the same factor. */
export const largestRank = 1024
/** The largest rank of an adapter's file. */
export const largestWrittenRank = 65_536
const largestAlpha = 1e6
/** Above it, scale · weight overflows float32. */
export const largestWrittenAlpha = largestAlpha * largestRank

const largestRatio = 1e4

/** Tokens with trained rows: a step compares every token with each of them. */
const mostTokens = 1_024

const tokenList = z
  .array(z.string().min(1).max(200))
  .min(1)
  .max(mostTokens)
  .refine((tokens) => new Set(tokens).size === tokens.length, { error: 'each token once' })
  .nullable()
  .default(null)

const moduleList = z.array(z.string().min(1).max(1_000)).min(1).nullable().default(null)

export const lowRankSettings = settingGroup('LoRA options', {
  targetModules: {
    placeholder: 'names',
    description:
      "Adapted matrices: ends of names (such as query,value; or a regular expression of whole paths), or all-linear (ia3: PEFT's choice)",
    defaultText: 'all-linear',
    common: true,
    schema: moduleList,
  },
  excludeModules: {
    placeholder: 'names',
    description: 'Matrices that are not adapted: ends of their names, or a regular expression of whole paths',
    defaultText: 'none',
    viaSet: true,
    schema: moduleList,
  },
  layersToTransform: {
    placeholder: 'numbers',
    description: 'Layers whose matrices are adapted, counted from 0',
    defaultText: 'all',
    viaSet: true,
    schema: z
      .array(z.coerce.number().pipe(z.int().min(0).max(10_000)))
      .min(1)
      .nullable()
      .default(null),
  },
  rank: {
    placeholder: 'r',
    description: 'Rank of each adapter (SaLoRA: before pruning)',
    common: true,
    schema: z.int().min(1).max(largestRank).default(8),
  },
  loraAlpha: {
    placeholder: 'alpha',
    description: 'Scale updates by alpha / rank (rsLoRA: alpha / √rank; AdaLoRA: alpha / init-r)',
    common: true,
    schema: z.number().positive().max(largestAlpha).default(16),
  },
  loraDropout: {
    placeholder: 'probability',
    description: 'Dropout probability of adapter inputs',
    schema: z.number().min(0).lt(1).default(0),
  },
  initLoraWeights: {
    placeholder: 'name',
    description: 'Initialization of A: kaiming or gaussian',
    viaSet: true,
    schema: z.enum(['kaiming', 'gaussian']).default('kaiming'),
  },
  loraplusLrRatio: {
    placeholder: 'ratio',
    description: 'Learning rate of B over that of A (LoRA+: 4 to 16)',
    viaSet: true,
    schema: z.number().positive().max(largestRatio).default(1),
  },
  newTokens: {
    placeholder: 'tokens',
    description: 'Tokens to add to the tokenizer, or a .txt file with one per line; their embeddings are trained',
    defaultText: 'none',
    schema: tokenList,
  },
  trainableTokens: {
    placeholder: 'tokens',
    description: 'Existing tokens or ids whose embeddings are trained, or a .txt file with one per line',
    defaultText: 'none',
    schema: tokenList,
  },
})
