/** Settings of a fine-tuning run, resolved and checked: names are those of the command line's flags, in camelCase. */
import { z } from 'zod'

const positive = z.number().positive()
const fraction = z.number().min(0).max(1)
const count = z.int().min(1)

/** Defaults are the paper's where it gives one (§4.1, appendix B) and METHOD's where it does not. */
export const settingsSchema = z
  .strictObject({
    method: z.enum(['salora', 'lora']).default('salora'),
    /** suffixes of module names, such as `query` or `output.dense`; null adapts all six matrices of each layer */
    targetModules: z.array(z.string().min(1)).min(1).nullable().default(null),
    rank: count.max(1024).default(8),
    /** ranks of single matrices in place of `rank`, by module name or suffix; 0 leaves a matrix out. The scale stays alpha / rank. */
    rankPattern: z.record(z.string().min(1), z.int().min(0).max(1024)).nullable().default(null),
    alpha: positive.default(16),
    initialisation: z.enum(['kaiming', 'gaussian']).default('kaiming'),
    /** b */
    density: z.number().gt(0).max(1).default(0.5),
    beta: z.number().min(0).default(0.1),
    tau: positive.default(1),
    gamma: z.number().negative().default(-0.1),
    zeta: z.number().gt(1).default(1.1),
    /** T_start and T_end as fractions of the run */
    gateStart: fraction.default(0.2),
    gateEnd: fraction.default(0.5),
    retain: z.enum(['budget', 'paper']).default('budget'),
    gateAfter: z.enum(['soft', 'binary']).default('soft'),
    /** gates before T_start: 1, or ĝ */
    warmupGate: z.enum(['open', 'expected']).default('open'),
    lambdaOptimizer: z.enum(['adam', 'sgd']).default('adam'),
    /** η_p at its peak */
    learningRate: positive.default(4e-4),
    /** η_c */
    controlLearningRate: positive.default(0.01),
    weightDecay: z.number().min(0).default(0.01),
    /** share of the steps in which η_p rises */
    warmup: fraction.default(0.06),
    epochs: positive.default(3),
    /** overrides epochs */
    maxSteps: count.nullable().default(null),
    batchSize: count.max(65536).default(32),
    /** batches whose gradients make one step */
    accumulate: count.max(65536).default(1),
    /** tokens an example, special ones included */
    maxLength: z.int().min(3).default(128),
    clip: positive.nullable().default(null),
    /** null: the probabilities of the checkpoint's config.json */
    dropout: z.number().min(0).lt(1).nullable().default(null),
    seed: z.int().min(0).default(0),
    device: z.enum(['auto', 'cpu', 'webgpu', 'cuda']).default('auto'),
    precision: z.enum(['float32', 'float64']).default('float32'),
    /** threads of the CPU provider; 0 lets ONNX Runtime choose */
    threads: z.int().min(0).max(1024).default(0),
    /** steps between evaluations; null evaluates after each epoch */
    evalEvery: count.nullable().default(null),
    /** steps between checkpoints; null saves at each evaluation */
    saveEvery: count.nullable().default(null),
  })
  .refine(({ gateStart, gateEnd }) => gateStart < gateEnd, { path: ['gateStart'], error: 'expected a fraction below gateEnd' })
  .refine(({ method, rankPattern }) => method === 'lora' || rankPattern === null, {
    path: ['rankPattern'],
    error: 'expected method lora, whose ranks stay',
  })

export type Settings = z.infer<typeof settingsSchema>
/** What a caller gives: every setting has a default. */
export type SettingsInput = z.input<typeof settingsSchema>

/** A setting that cannot be. `setting` is its name in camelCase. */
export class SettingsError extends Error {
  constructor(
    readonly setting: string,
    readonly expected: string,
    readonly found: string,
  ) {
    super(`${setting}: ${expected}, found ${found}`)
    this.name = 'SettingsError'
  }
}

/** Fills in defaults and checks. @throws SettingsError for the first setting that is wrong */
export const resolveSettings = (given: SettingsInput): Settings => {
  const parsed = settingsSchema.safeParse(given)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const [key = ''] = issue?.path ?? []
  const setting = issue?.code === 'unrecognized_keys' ? (issue.keys[0] ?? '') : String(key)
  const found = JSON.stringify((given as Readonly<Record<string, unknown>>)[setting]) ?? 'nothing'
  throw new SettingsError(
    setting,
    issue?.code === 'unrecognized_keys' ? 'expected a setting of this version' : expectation(issue?.message ?? ''),
    found,
  )
}

/** zod writes `Too small: expected number to be >0`; the user wants the second half. */
const expectation = (message: string): string => {
  const at = message.search(/expected/i)
  const rest = at < 0 ? `expected ${message}` : message.slice(at).replace(/^Expected/, 'expected')
  return rest.replace(/, received .*$/, '').replace('to be ', '')
}
