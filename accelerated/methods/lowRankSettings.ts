/** Settings that every method with low-rank adapters has. */
import { z } from 'zod'
import { setting } from '../settings/setting.js'

/** A rank pattern may give a matrix this many times the rank that alpha is divided by; PEFT's file then has alpha as many times larger. */
export const largestRank = 1024
const largestAlpha = 1e6
/** Beyond it a float32 of the scale times a weight is no number any more. */
export const largestWrittenAlpha = largestAlpha * largestRank

export const lowRankSettings = {
  targetModules: setting(
    'list',
    'names',
    'adapted matrices by suffix, with commas: query,value; or all-linear, all of each layer (the default)',
    z.array(z.string().min(1)).min(1).nullable().default(null),
  ),
  rank: setting('number', 'r', 'rank of each adapter at the start', z.int().min(1).max(largestRank).default(8)),
  loraAlpha: setting('number', 'number', 'the adapter counts alpha / rank', z.number().positive().max(largestAlpha).default(16)),
  loraDropout: setting('number', 'probability', "of dropout of each adapter's own input", z.number().min(0).lt(1).default(0)),
  initLoraWeights: setting('text', 'name', 'of A: kaiming or gaussian', z.enum(['kaiming', 'gaussian']).default('kaiming')),
} as const
