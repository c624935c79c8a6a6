/** PEFT's adapter_config.json: written so that every version of PEFT loads it, read as far as BERT and RoBERTa classifiers need. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { basename, dirname } from 'node:path'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { fileInFolder } from '../../storage/fileInFolder.js'
import { largestWrittenAlpha } from '../../methods/lowRankSettings.js'
import type { Model } from '../../models/architecture.js'
import type { TaskOutputs } from '../../objectives/taskType.js'
import { adapterConfigLimit, causalTask } from '../adapterTensors.js'

/** One module of an adapter to write: its full path in the base model and the rank left of it. */
export type RankedModule = { readonly path: string; readonly rank: number }

/** What every adapter_config.json says of its model and its head. */
export type Adapted = {
  readonly baseModelName: string
  readonly outputs: TaskOutputs
  /** Modules beside the adapted ones that the files hold whole. PEFT itself names 'classifier' and 'score' for a sequence classifier. */
  readonly modulesToSave: ReadonlyArray<string>
}

/** What distinguishes one adapter_config.json of LoRA that this library writes from another. */
export type PeftSettings = Adapted & {
  readonly rank: number
  readonly alpha: number
  readonly rslora: boolean
  readonly dora: boolean
  readonly dropout: number
  readonly modules: ReadonlyArray<RankedModule>
  readonly fanInFanOut: boolean
}

/**
 * The text of adapter_config.json: indent 2, keys sorted. PEFT scales a module by alpha_i / r_i, so a module of another rank than r
 * gets alpha_i = alpha · r_i / r, which keeps the scale at alpha / r; with rsLoRA the same of the roots. Full paths as patterns: no two
 * modules are confused.
 */
export const peftConfigText = (settings: PeftSettings): string => {
  const { rank, alpha, rslora, dora, dropout, modules, fanInFanOut } = settings
  const others = modules.filter((module) => module.rank !== rank)
  const alphaOf = (own: number): number => (rslora ? alpha * Math.sqrt(own / rank) : (alpha * own) / rank)
  return configText(settings, {
    peft_type: 'LORA',
    r: rank,
    lora_alpha: alpha,
    rank_pattern: sorted(Object.fromEntries(others.map((module) => [module.path, module.rank]))),
    alpha_pattern: sorted(Object.fromEntries(others.map((module) => [module.path, alphaOf(module.rank)]))),
    target_modules: modules.map(({ path }) => path),
    lora_dropout: dropout,
    bias: 'none',
    fan_in_fan_out: fanInFanOut,
    init_lora_weights: true,
    ...(dora ? { use_dora: true } : {}), // older versions of PEFT do not know the key
    use_rslora: rslora,
  })
}

/** Any method's adapter_config.json: what all of them say, and `own`. */
export const configText = ({ baseModelName, outputs, modulesToSave }: Adapted, own: Readonly<Record<string, unknown>>): string => {
  const hasHead = modulesToSave.length > 0
  const all = sorted({
    base_model_name_or_path: baseModelName,
    inference_mode: true,
    modules_to_save: hasHead ? [...modulesToSave].sort() : null,
    task_type: outputs.taskType === 'causal' ? causalTask : hasHead ? 'SEQ_CLS' : null,
    ...own,
  })
  return `${JSON.stringify(all, null, 2)}\n`
}

export const sorted = <T>(table: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)))

const names = z.array(z.string().max(1_000)).max(100_000)
const expression = z.string().min(1).max(10_000)
const rank = z.int().min(1).max(65_536)
const alpha = z.number().min(-largestWrittenAlpha).max(largestWrittenAlpha)
const unset = z.union([z.null(), z.literal(false), z.tuple([]), z.strictObject({})], 'unset (null, false or empty)').optional()

/** PEFT's fan_in_fan_out: whether a checkpoint stores one of these matrices as [in, out], as PEFT's update must then be transposed. */
export const fansInOut = ({ transposed }: Pick<Model, 'transposed'>, matrices: ReadonlyArray<string>): boolean =>
  matrices.some((name) => transposed?.(`${name}.weight`) === true)

/** Any other key is not read. */
export const loraConfig = z.object({
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
  use_dora: z.boolean().nullish(),
  lora_dropout: z.number().min(0).max(1).nullish(),
  bias: z.literal('none').nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  // the other ways to start change the frozen weights as well, so that ΔW alone is not the adapter
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'orthogonal', 'eva'])]).nullish(),
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

/** A valid adapter_config.json of a LoRA that is nothing but ΔW = scale · B A, DoRA's magnitudes and saved modules. */
export type PeftConfig = z.infer<typeof loraConfig>

/** Parses the text of an adapter_config.json. `where` is the file's name in messages. Throws Mistake for what is not plain LoRA. */
export const parsePeftConfig = (text: string, where: string): PeftConfig =>
  validate(loraConfig, parseJson(text, where), where, 'a plain LoRA configuration')

/** Whether a file is an adapter_config.json of this type; false where there is none. Throws Mistake for one that is no JSON. */
export const isPeftType = async (file: string, type: string): Promise<boolean> => (await peftTypeOf(file)) === type

/** peft_type of a file, or undefined where there is no such file or key. */
export const peftTypeOf = async (file: string): Promise<unknown> => {
  const found = await fileInFolder(dirname(file), basename(file))
  if (found === undefined) return undefined
  const json = parseJson(await readText(found, adapterConfigLimit), file)
  return typeof json === 'object' && json !== null && 'peft_type' in json ? json.peft_type : undefined
}
