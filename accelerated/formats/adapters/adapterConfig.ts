/** adapter_config.json of the adapters library: written for `houlsby` and `pfeiffer` as the library does, and validated key by key. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { bareClassName } from '../../models/modelOutputs.js'
import type { Adapter } from '../adapter.js'

/** The keys that differ between the methods. */
const kinds = {
  houlsby: { called: 'DoubleSeqBnConfig', own: { mh_adapter: true, non_linearity: 'swish', original_ln_before: false } },
  pfeiffer: { called: 'SeqBnConfig', own: { mh_adapter: false, non_linearity: 'relu', original_ln_before: true } },
} as const
type BottleneckName = keyof typeof kinds

/** The keys that both methods share. A configuration with another value means another function. */
const common = {
  adapter_residual_before_ln: false,
  cross_adapter: false,
  inv_adapter: null,
  is_parallel: false,
  leave_out: [],
  ln_after: false,
  ln_before: false,
  original_ln_after: true,
  output_adapter: true,
  phm_layer: false,
  residual_before_ln: true,
  scaling: 1,
  use_gating: false,
} as const

/** Keys that do not matter once an adapter is trained. */
const idle = {
  dropout: 0,
  factorized_phm_W: true,
  factorized_phm_rule: false,
  hypercomplex_nonlinearity: 'glorot-uniform',
  init_weights: 'bert',
  init_weights_seed: null,
  inv_adapter_reduction_factor: null,
  learn_phm: true,
  phm_bias: true,
  phm_c_init: 'normal',
  phm_dim: 4,
  phm_init_range: 0.0001,
  phm_rank: 1,
  shared_W_phm: false,
  shared_phm_rule: true,
  stochastic_depth: 0,
} as const

/** The keys that every configuration of an adapter has; `version` is the layout's. */
export const ofModel = ({
  model,
  baseModelName,
  outputs,
}: Pick<Adapter, 'model' | 'baseModelName' | 'outputs'>): Readonly<Record<string, unknown>> => ({
  hidden_size: model.spec.hiddenSize,
  model_class:
    outputs.head === 'token'
      ? model.naming.tokenClassifier
      : outputs.head === 'embedding'
        ? bareClassName(model)
        : model.naming.sequenceClassifier,
  model_name: baseModelName,
  model_type: model.type,
  version: 'adapters.1.3.0',
})

export const adapterConfigText = (name: string, reductionFactor: number, adapterName: string, adapter: Adapter): string => {
  if (!isKind(name)) throw new Error(`adapterConfigText: expected ${Object.keys(kinds).join(' or ')}, got ${name}`)
  const config = { ...common, ...idle, ...kinds[name].own, reduction_factor: reductionFactor }
  // The library distinguishes a constant scale from a trained one by its type, so its floats need a decimal point.
  return libraryText({ ...ofModel(adapter), config, name: adapterName }).replace(
    /^( +"(?:dropout|scaling|stochastic_depth)": \d+),$/gm,
    '$1.0,',
  )
}

/** Like Python's json.dump(indent=2, sort_keys=True). */
export const libraryText = (value: object): string =>
  JSON.stringify(
    value,
    (_, part: unknown) =>
      typeof part === 'object' && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    2,
  )

const isKind = (name: string): name is BottleneckName => Object.hasOwn(kinds, name)

type Schemas = Readonly<Record<string, z.ZodType>>
const schemas = (values: object, schemaOf: (value: unknown) => z.ZodType): Schemas =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, schemaOf(value)]))
const exactly = (value: unknown): z.ZodType => (Array.isArray(value) ? z.tuple([]) : z.literal(value as z.core.util.Literal))
const single = z.union([z.string().max(1_000), z.number(), z.boolean(), z.null()])

/** The shared keys are optional, since the library's defaults are the same. The keys that differ are required. */
const buildSchema = (name: BottleneckName) =>
  z.strictObject({
    architecture: z.null().optional(),
    ...schemas(kinds[name].own, exactly),
    ...schemas(common, (value) => exactly(value).optional()),
    ...schemas(idle, () => single.optional()),
    reduction_factor: z.number().positive().max(1e9),
  })

const fileSchema = z.object({
  model_type: z.string().max(100),
  hidden_size: z.int(),
  name: z.string().min(1).max(1_000),
  model_name: z.string().max(10_000).nullish(),
  // another architecture has other keys; its message names the architecture
  config: z.looseObject({ architecture: z.null().optional(), mh_adapter: z.boolean() }),
})

type AdapterConfig = {
  readonly method: BottleneckName
  readonly reductionFactor: number
  /** part of its tensors' names */
  readonly adapterName: string
  readonly baseModelName: string | undefined
}

/** Whether the file is the library's. PEFT's file of that name has no `config` key. */
export const isLibraryConfig = (json: unknown): boolean => typeof json === 'object' && json !== null && 'config' in json

/** @throws InputError if it is not an adapter that we support, or is one of another model */
export const readAdapterConfig = (json: unknown, where: string, { model }: Pick<Adapter, 'model'>): AdapterConfig => {
  const file = validate(fileSchema, json, where, 'an adapter as the adapters library saves it')
  if (file.model_type !== model.type) throw inputError(where, `an adapter of a ${model.type} model`, `one of ${quoted(file.model_type)}`)
  if (file.hidden_size !== model.spec.hiddenSize)
    throw inputError(where, `an adapter of a model of hidden size ${model.spec.hiddenSize}`, `one of ${file.hidden_size}`)
  const method = file.config.mh_adapter ? 'houlsby' : 'pfeiffer'
  const { reduction_factor: reductionFactor } = validate(buildSchema(method), file.config, where, `a ${kinds[method].called} (${method})`)
  return { method, reductionFactor, adapterName: file.name, baseModelName: file.model_name ?? undefined }
}
