/** PEFT's adapter_config.json: every version of PEFT loads what we write, and we read plain LoRA. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { fileInFolder } from '../../storage/paths.js'
import { largestWrittenAlpha, largestWrittenRank } from '../../methods/lowRankSettings.js'
import type { Model } from '../../models/architecture.js'
import type { ModelOutputs } from '../../models/modelOutputs.js'
import type { Storage } from '../../storage/storage.js'
import { causalTask, embeddingTask, tokenTask } from '../adapterTensors.js'
import { adapterConfigLimit } from '../saloraJson.js'
import { tokenIndices } from './tokenRows.js'

/** One module of an adapter to write: its full path in the base model and its remaining rank. */
type RankedModule = { readonly path: string; readonly rank: number }

/** The part of adapter_config.json about the model and the head. */
type Adapted = {
  readonly baseModelName: string
  readonly outputs: ModelOutputs
  /** whether PEFT wraps the encoder itself (default: only for embeddings) */
  readonly bare?: boolean
  /** modules that the files have whole, beside the adapted ones */
  readonly modulesToSave: readonly string[]
}

/** The part of a LoRA's adapter_config.json that differs from one adapter to the next. */
type PeftSettings = Adapted & {
  readonly rank: number
  readonly alpha: number
  readonly rslora: boolean
  readonly dora: boolean
  /** whether the adapted matrices' own biases are trained */
  readonly biases: boolean
  readonly dropout: number
  readonly modules: readonly RankedModule[]
  readonly fanInFanOut: boolean
  /** trainable_token_indices, if it has rows of tokens */
  readonly tokenKeys: object
}

/**
 * The text of adapter_config.json: indent 2, keys sorted. PEFT scales a module by alpha_i / r_i. A module whose rank differs from r gets
 * alpha_i = alpha · r_i / r, which keeps the scale at alpha / r. rsLoRA uses the roots of the ranks. Patterns are full paths, so that each
 * matches one module.
 */
export const peftConfigText = ({ rank: trained, alpha: ofTrained, ...settings }: PeftSettings): string => {
  const { rslora, dora, dropout, modules, fanInFanOut } = settings
  const [{ rank: first } = { rank: trained }] = modules
  const rank = first > trained && modules.every((module) => module.rank === first) ? first : trained // PiSSA's and OLoRA's is twice that of training
  const alpha = rslora ? ofTrained * Math.sqrt(rank / trained) : (ofTrained * rank) / trained
  const others = modules.filter((module) => module.rank !== rank)
  const computeAlpha = (r: number): number => (rslora ? alpha * Math.sqrt(r / rank) : (alpha * r) / rank)
  return configText(settings, {
    peft_type: 'LORA',
    r: rank,
    lora_alpha: alpha,
    rank_pattern: sorted(Object.fromEntries(others.map((module) => [module.path, module.rank]))),
    alpha_pattern: sorted(Object.fromEntries(others.map((module) => [module.path, computeAlpha(module.rank)]))),
    target_modules: modules.map(({ path }) => path),
    lora_dropout: dropout,
    bias: settings.biases ? 'lora_only' : 'none',
    fan_in_fan_out: fanInFanOut,
    init_lora_weights: true,
    ...(dora ? { use_dora: true } : {}), // older versions of PEFT do not know the key
    use_rslora: rslora,
    ...settings.tokenKeys,
  })
}

/** PEFT's fan_in_fan_out: whether checkpoints store one of these matrices as [in, out]. */
export const fansInOut = ({ transposed }: Pick<Model, 'transposed'>, matrices: readonly { readonly name: string }[]): boolean =>
  matrices.some(({ name }) => transposed?.(`${name}.weight`) === true)

const taskTypes = { causal: causalTask, token: tokenTask, embedding: embeddingTask } as const

/** The adapter_config.json of any method: the keys that all of them have, and those of the method. */
export const configText = (
  { baseModelName, outputs, bare = false, modulesToSave }: Adapted,
  methodKeys: Readonly<Record<string, unknown>>,
): string => {
  const hasHead = modulesToSave.length > 0
  const all = sorted({
    base_model_name_or_path: baseModelName,
    inference_mode: true,
    modules_to_save: hasHead ? [...modulesToSave].sort() : null,
    task_type: bare ? embeddingTask : outputs.head === 'sequence' ? (hasHead ? 'SEQ_CLS' : null) : taskTypes[outputs.head],
    ...methodKeys,
  })
  return `${JSON.stringify(all, null, 2)}\n`
}

export const sorted = <T>(table: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)))

const names = z.array(z.string().max(1_000)).max(100_000)
const expression = z.string().min(1).max(10_000)
const layer = z.int().min(0).max(10_000)
const pattern = z.string().max(1_000)
const rank = z.int().min(1).max(largestWrittenRank)
const alpha = z.number().min(-largestWrittenAlpha).max(largestWrittenAlpha)
const unset = z.union([z.null(), z.literal(false), z.tuple([]), z.strictObject({})], 'unset (null, false or empty)').optional()

/** What is not read yet a part of the adapter's function. */
export const merging = "PEFT's merge_and_unload makes it a model of its own, which opens here"
const converting =
  "true, false, gaussian, orthogonal or eva (for the others, save it by PEFT's save_pretrained with path_initial_model_for_weight_conversion)"

/** Other keys are ignored. */
export const loraConfig = z.object({
  peft_type: z.literal('LORA'),
  task_type: z.string().nullish(),
  base_model_name_or_path: z.string().max(10_000).nullish(),
  r: rank,
  lora_alpha: alpha,
  target_modules: z.union([expression, names]),
  exclude_modules: z.union([expression, names]).nullish(),
  modules_to_save: names.nullish(),
  ensure_weight_tying: z.boolean().nullish(),
  rank_pattern: z.record(expression, rank).nullish(),
  alpha_pattern: z.record(expression, alpha).nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  lora_dropout: z.number().min(0).max(1).nullish(),
  bias: z.enum(['none', 'lora_only'], `none or lora_only (${merging})`).nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  // The other initializations also change the frozen weights, so ΔW alone would not be the adapter.
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'orthogonal', 'eva'])], converting).nullish(),
  use_qalora: unset,
  use_bdlora: unset,
  kasa_config: unset,
  arrow_config: unset,
  lora_bias: unset,
  layers_to_transform: z.union([layer, z.array(layer).max(10_000)]).nullish(),
  layers_pattern: z.union([pattern, z.array(pattern).max(100)]).nullish(),
  layer_replication: unset,
  target_parameters: unset,
  trainable_token_indices: tokenIndices,
  alora_invocation_tokens: unset,
})

/** An adapter_config.json of plain LoRA: ΔW = scale · B A, DoRA's magnitudes, and saved modules. */
export type PeftConfig = z.infer<typeof loraConfig>

/** Parses the text of an adapter_config.json. `where` is the file's name in messages. @throws InputError if it is not plain LoRA */
export const parsePeftConfig = (text: string, where: string): PeftConfig =>
  validate(loraConfig, parseJson(text, where), where, 'a plain LoRA configuration')

/** Whether a folder has an adapter of this peft_type. @throws InputError if its configuration is not JSON */
export const isPeftType = async (folder: string, type: string, storage: Storage): Promise<boolean> =>
  (await readPeftType(folder, storage)) === type

/** The peft_type of a folder's configuration; undefined if there is no such file or key. @throws InputError if it is not JSON */
export const readPeftType = async (folder: string, storage: Storage): Promise<unknown> => {
  const file = await fileInFolder(folder, 'adapter_config.json', storage)
  if (file === undefined) return undefined
  const json = parseJson(await readText(file, adapterConfigLimit, storage), file)
  return typeof json === 'object' && json !== null && 'peft_type' in json ? json.peft_type : undefined
}
