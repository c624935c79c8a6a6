/** PEFT's adapter_config.json: written so that every version of PEFT loads it, read as far as BERT and RoBERTa classifiers need. */
import { z } from 'zod'
import { fileError } from '../../files/fileError.js'
import { parseJson } from '../../files/jsonText.js'
import { firstProblem } from '../../files/schemaProblem.js'

/** One module of an adapter to write: its full path in the base model and the rank left of it. */
export type RankedModule = { readonly path: string; readonly rank: number }

/** What distinguishes one adapter_config.json that this library writes from another. */
export type PeftSettings = {
  readonly baseModelName: string
  readonly rank: number
  readonly alpha: number
  readonly modules: ReadonlyArray<RankedModule>
  /** Modules beside the adapted ones that the files hold whole. PEFT itself names 'classifier' and 'score' for a sequence classifier. */
  readonly modulesToSave: ReadonlyArray<string>
}

/**
 * The text of adapter_config.json: indent 2, keys sorted. PEFT scales a module by alpha_i / r_i, so a module of another rank than r
 * gets alpha_i = alpha · r_i / r, which keeps the scale at alpha / r. Full paths as patterns: no two modules are confused.
 */
export const peftConfigText = ({ baseModelName, rank, alpha, modules, modulesToSave }: PeftSettings): string => {
  const others = modules.filter((module) => module.rank !== rank)
  return `${JSON.stringify(
    sorted({
      peft_type: 'LORA',
      task_type: modulesToSave.length > 0 ? 'SEQ_CLS' : null,
      base_model_name_or_path: baseModelName,
      r: rank,
      lora_alpha: alpha,
      rank_pattern: sorted(Object.fromEntries(others.map((module) => [module.path, module.rank]))),
      alpha_pattern: sorted(Object.fromEntries(others.map((module) => [module.path, (alpha * module.rank) / rank]))),
      target_modules: modules.map(({ path }) => path),
      modules_to_save: modulesToSave.length > 0 ? [...modulesToSave].sort() : null,
      lora_dropout: 0,
      bias: 'none',
      fan_in_fan_out: false,
      inference_mode: true,
      init_lora_weights: true,
      use_rslora: false,
    }),
    null,
    2,
  )}\n`
}

const sorted = <T>(table: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)))

const names = z.array(z.string().max(1_000)).max(100_000)
const expression = z.string().min(1).max(10_000)
const rank = z.int().min(1).max(65_536)
/** Beyond it a float32 of the scale times a weight is no number any more. */
const alpha = z.number().min(-1e9).max(1e9)
const unset = z.union([z.null(), z.literal(false), z.tuple([]), z.strictObject({})]).optional()

const schema = z.object({
  peft_type: z.literal('LORA'),
  task_type: z.string().nullish(),
  base_model_name_or_path: z.string().max(10_000).nullish(),
  r: rank,
  lora_alpha: alpha,
  target_modules: z.union([expression, names]),
  exclude_modules: z.union([expression, names]).nullish(),
  modules_to_save: names.nullish(),
  rank_pattern: z.record(expression, rank).nullish(),
  alpha_pattern: z.record(expression, alpha).nullish(),
  use_rslora: z.boolean().nullish(),
  bias: z.literal('none').nullish(),
  fan_in_fan_out: z.literal(false).nullish(),
  // the other ways to start change the frozen weights as well, so that ΔW alone is not the adapter
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'orthogonal', 'eva'])]).nullish(),
  use_dora: unset,
  use_qalora: unset,
  use_bdlora: unset,
  kasa_config: unset,
  arrow_config: unset,
  lora_bias: unset,
  layers_to_transform: unset,
  layer_replication: unset,
  target_parameters: unset,
  trainable_token_indices: unset,
  alora_invocation_tokens: unset,
})

/** Bytes of an adapter_config.json or salora.json. */
export const adapterConfigLimit = 16_000_000

/** A valid adapter_config.json of a LoRA that is nothing but ΔW = scale · B A and saved modules. */
export type PeftConfig = z.infer<typeof schema>

/** Parses the text of an adapter_config.json. `where` is the file's name in messages. Throws FileError for what is not plain LoRA. */
export const parsePeftConfig = (text: string, where: string): PeftConfig => {
  const json = parseJson(text, where)
  const parsed = schema.safeParse(json)
  if (!parsed.success) {
    const { path, message, found } = firstProblem(parsed.error, json)
    throw fileError(where, `a plain LoRA configuration with a valid ${path || 'object'} (${message})`, found)
  }
  return parsed.data
}
