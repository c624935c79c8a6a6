/** Phi-3 and Phi-4 (Abdin et al., 2024): LLaMA's layers with one matrix for queries, keys and values, and one for gate and up. */
import type { Architecture, Model, Matrix, ModelSpec, TensorShape } from '../architecture.js'
import { decoder, buildSpec } from '../llama/decoder.js'
import { type DecoderConfig, type FamilyDesign, llama } from '../llama/family.js'
import { decoderConfig } from '../llama/config.js'
import { z } from 'zod'
import { inputError } from '../../errors/inputError.js'
import { validate } from '../../errors/validate.js'
import { decoderModel } from '../llama/llama.js'
import type { Expression } from '../../graph/expression.js'
import { slice } from '../../graph/operators.js'
import type { Host } from '../host.js'
import { fractionKeys, type GgufFamily } from '../gguf.js'
import { decoderNames, readSizes, sizeKeys } from '../llama/gguf.js'

const phi3: FamilyDesign = {
  ...{ ...llama, modelType: 'phi3', classNames: ['Phi3', 'Phi3'], windowed: 'everywhere' },
  defaults: {
    ...{ vocab_size: 32_064, hidden_size: 3_072, intermediate_size: 8_192, num_hidden_layers: 32, num_attention_heads: 32 },
    ...{ max_position_embeddings: 4_096, rms_norm_eps: 1e-5, sliding_window: null, hidden_act: 'silu' },
  },
}

const positions = z.int().min(1).max(100_000_000)
const part = z.number().positive().max(1)
const factors = z.array(z.number().positive()).min(1).max(65_536)
const rope = z.object({
  rope_type: z.string().max(100).optional(),
  type: z.string().max(100).optional(), // the older name
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: part.optional(),
  short_factor: factors.optional(),
  long_factor: factors.optional(),
  factor: z.number().positive().nullish(),
  attention_factor: z.number().nonnegative().nullish(),
  original_max_position_embeddings: positions.optional(),
})

/** What is not read as LLaMA's. */
const schema = z.object({
  original_max_position_embeddings: positions.default(4_096),
  partial_rotary_factor: part.default(1),
  rope_scaling: rope.nullish(),
  rope_parameters: rope.nullish(),
  attention_bias: z.literal(false).default(false),
  resid_pdrop: z.literal(0).default(0),
  embd_pdrop: z.literal(0).default(0),
})

/** Positions of a text, and LongRoPE's factors by pair: of texts within the original positions, and of longer ones. */
type LongRope = {
  readonly positions: number
  readonly originalPositions: number
  readonly short: readonly number[]
  readonly long: readonly number[]
  readonly attentionFactor: number
}

/**
 * The sizes and LongRoPE of a config.json; null: no LongRoPE.
 * @param where the file's name in messages
 * @throws InputError if a key is missing or out of bounds, or sizes contradict each other
 */
export const openPhi3 = (json: object, where: string): { readonly config: DecoderConfig; readonly longRope: LongRope | null } => {
  const file = validate(schema, json, where, 'a decoder')
  const config = decoderConfig(phi3, { ...json, rope_scaling: null, rope_parameters: null, mlp_bias: false }, where)
  const rope = file.rope_scaling ?? file.rope_parameters // the older key goes first, as in transformers
  const rotarySize = Math.floor(config.headSize * (rope?.partial_rotary_factor ?? file.partial_rotary_factor) + 1e-6)
  if (rotarySize < 2 || rotarySize % 2 !== 0)
    throw inputError(
      where,
      `a partial_rotary_factor that gives an even part of the ${config.headSize} numbers of a head`,
      String(rotarySize),
    )
  const otherwise = { positions: config.maxPositions, originalPositions: file.original_max_position_embeddings }
  const longRope = readLongRope(rope ?? {}, otherwise, rotarySize / 2, where)
  return {
    config: {
      ...config,
      // longer texts have other frequencies, from their first token on, which no cache can follow
      maxPositions: Math.min(longRope?.originalPositions ?? Infinity, config.maxPositions),
      rotaryBase: rope?.rope_theta ?? config.rotaryBase,
      rotaryScaling: longRope && { kind: 'longrope', factors: longRope.short, attentionFactor: longRope.attentionFactor },
      rotarySize,
    },
    longRope,
  }
}

/** `su` and `yarn` are older names of LongRoPE in files of Phi-3. @param pairs of numbers of a head that are rotated */
const readLongRope = (
  rope: z.infer<typeof schema>['rope_scaling'] & {},
  { positions, ...otherwise }: Pick<LongRope, 'positions' | 'originalPositions'>,
  pairs: number,
  where: string,
): LongRope | null => {
  const kind = rope.rope_type ?? rope.type ?? 'default'
  if (kind === 'default') return null
  const { short_factor: short, long_factor: long } = rope
  if (!['longrope', 'su', 'yarn'].includes(kind) || short?.length !== pairs || long?.length !== pairs)
    throw inputError(
      where,
      `a rope_type of default or longrope (with short_factor and long_factor of ${pairs} numbers)`,
      `${kind} with ${short?.length ?? 0} and ${long?.length ?? 0}`,
    )
  const originalPositions = rope.original_max_position_embeddings ?? otherwise.originalPositions
  const factor = rope.factor ?? positions / originalPositions
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions))
  return { positions, originalPositions, short, long, attentionFactor: rope.attention_factor ?? usual }
}

/** Phi-3 in GGUF, with LongRoPE's factors. llama.cpp chooses between them by the length of its context. */
export const phi3Gguf: GgufFamily = {
  architecture: 'phi3',
  names: { ...decoderNames(llama), 'self_attn.qkv_proj': 'attn_qkv', 'mlp.gate_up_proj': 'ffn_up' },
  interleaved: null,
  normOffset: 0,
  write: (json, where) => {
    const { config, longRope } = openPhi3(json, where)
    return {
      keys: [
        // the context ends with the original positions, so that an ordinary one has the short factors
        ...sizeKeys(config, false, {
          'attention.sliding_window': 0,
          'rope.dimension_count': config.rotarySize ?? config.headSize,
          'rope.scaling.original_context_length': longRope?.originalPositions ?? config.maxPositions,
        }),
        ...fractionKeys({ 'rope.scaling.attn_factor': longRope?.attentionFactor ?? null }),
      ],
      factors: longRope === null ? {} : { 'rope_factors_long.weight': longRope.long, 'rope_factors_short.weight': longRope.short },
    }
  },
  /** Files of llama.cpp's script give the size of a head by the number of heads alone. */
  read: (gguf) => {
    const { number, required, factors } = gguf
    const headSize = number('attention.key_length') ?? required('embedding_length') / required('attention.head_count')
    const [short, long] = [factors('rope_factors_short.weight'), factors('rope_factors_long.weight')]
    const [window, attentionFactor] = [number('attention.sliding_window') ?? 0, number('rope.scaling.attn_factor')]
    return {
      architectures: ['Phi3ForCausalLM'],
      model_type: 'phi3',
      ...readSizes(gguf, headSize),
      original_max_position_embeddings: number('rope.scaling.original_context_length') ?? required('context_length'),
      partial_rotary_factor: (number('rope.dimension_count') ?? headSize) / headSize,
      rope_theta: number('rope.freq_base') ?? 10_000,
      rope_scaling:
        short === undefined || long === undefined
          ? null
          : {
              ...{ type: 'longrope', short_factor: [...short], long_factor: [...long] },
              ...(attentionFactor === undefined ? {} : { attention_factor: attentionFactor }),
            },
      sliding_window: window > 0 ? window : null,
    }
  },
}

const fusedNames: FusedNames = {
  'self_attn.qkv_proj': ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  'mlp.gate_up_proj': ['mlp.gate_proj', 'mlp.up_proj'],
}

const phi3Model = (config: DecoderConfig): Model => {
  const [ofLlama, inParts] = [decoderModel(config, phi3), buildSpec(config)]
  return {
    ...ofLlama,
    spec: fusedSpec(inParts, fusedNames),
    hidden: (host, batch) => decoder(config, fusedHost(host, inParts, fusedNames), batch),
    withDropout: (p) => phi3Model({ ...config, attentionDropout: p }),
  }
}

export const phi3Architecture: Architecture = {
  modelTypes: ['phi3'],
  open: (json, where) => phi3Model(openPhi3(json, where).config),
  gguf: phi3Gguf,
}

// Matrices that a family keeps as one, such as those of queries, keys and values. The one is adapted; another family's layers read its parts.
/** By the name of the fused matrix within a layer, those of its parts, whose rows follow one another. */
type FusedNames = Readonly<Record<string, readonly string[]>>

type Part = { readonly fused: string; readonly start: number; readonly rows: number }

/** The parts of each fused matrix by their names. */
const locateParts = ({ matrices, layers }: ModelSpec, names: FusedNames): ReadonlyMap<string, Part> => {
  const rowCounts = new Map(matrices.map(({ name, d }) => [name, d]))
  return new Map(
    layers.flatMap(({ name: layer }) =>
      Object.entries(names).flatMap(([fused, parts]) => {
        let start = 0
        return parts.map((part): readonly [string, Part] => {
          const rows = rowCounts.get(`${layer}.${part}`) ?? 0
          start += rows
          return [`${layer}.${part}`, { fused: `${layer}.${fused}`, start: start - rows, rows }]
        })
      }),
    ),
  )
}

/** The spec with the fused matrices in place of their parts, which have no biases. */
const fusedSpec = (spec: ModelSpec, names: FusedNames): ModelSpec => {
  const parts = locateParts(spec, names)
  const rows = new Map<string, number>()
  for (const { fused, rows: more } of parts.values()) rows.set(fused, (rows.get(fused) ?? 0) + more)
  const fuseMatrix = ({ name, d, k }: Matrix): readonly Matrix[] => {
    const part = parts.get(name)
    if (part === undefined) return [{ name, d, k }]
    return part.start === 0 ? [{ name: part.fused, d: rows.get(part.fused) ?? 0, k }] : []
  }
  const matrices = spec.matrices.flatMap(fuseMatrix)
  const isPart = (tensor: string): boolean => parts.has(tensor.replace(/\.weight$/, ''))
  return {
    ...spec,
    matrices,
    tensors: new Map<string, TensorShape>([
      ...[...spec.tensors].filter(([name]) => !isPart(name)),
      ...matrices.filter(({ name }) => rows.has(name)).map(({ name, d, k }): [string, TensorShape] => [`${name}.weight`, [d, k]]),
    ]),
  }
}

/** A host for layers that ask for the parts: each is a slice of one product of the fused matrix. @param spec with the parts */
const fusedHost = (host: Host, spec: ModelSpec, names: FusedNames): Host => {
  const parts = locateParts(spec, names)
  const products = new Map<string, { readonly x: Expression; readonly product: Expression }>()
  const computeProduct = (fused: string, x: Expression): Expression => {
    const known = products.get(fused)
    const product = known?.x === x ? known.product : host.linear(fused, x)
    products.set(fused, { x, product })
    return product
  }
  return {
    ...host,
    linear: (name, x) => {
      const part = parts.get(name)
      return part === undefined ? host.linear(name, x) : slice(computeProduct(part.fused, x), 1, part.start, part.rows)
    },
  }
}
