/**
 * A decoder whose matrices of queries, keys and values are one, and those of gate and up another. The rows of W and B are those of their parts, one
 * below the other. Part i is Wᵢ + scale · Bᵢ diag(g) A. So the gradients of W and B are those of their parts, and those of A and g are sums.
 */
import type { Factors } from '../layers/lowRank.js'
import { add, named, slice, stackRows, type Tensor, type Tensors } from '../tensor/tensor.js'
import { decoder } from './decoder.js'
import { decoderModules, decoderModuleShape, type DecoderConfig } from './decoderConfig.js'
import type { Tokens } from './embeddings.js'
import type { ModelOptions, Operands, TracedModel } from './model.js'

const groups: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'self_attn.qkv_proj',
  'self_attn.k_proj': 'self_attn.qkv_proj',
  'self_attn.v_proj': 'self_attn.qkv_proj',
  'mlp.gate_proj': 'mlp.gate_up_proj',
  'mlp.up_proj': 'mlp.gate_up_proj',
}

interface Part {
  readonly part: string
  readonly whole: string
  readonly from: number
  readonly to: number
}

/** Every adapted module of the decoder in parts, with its rows in the module that has it. */
const listParts = (config: DecoderConfig): readonly Part[] => {
  const ends: Record<string, number> = {}
  return decoderModules(config).map((part) => {
    const whole = part.replace(/(?<=^layers\.\d+\.).*$/, (name) => groups[name] ?? name)
    const from = ends[whole] ?? 0
    const to = from + decoderModuleShape(config, part)[0]
    ends[whole] = to
    return { part, whole, from, to }
  })
}

/** The modules that get an adapter, first layer first: four in each. */
export const fusedDecoderModules = (config: DecoderConfig): readonly string[] => [...new Set(listParts(config).map(({ whole }) => whole))]

const rows = (x: Tensor, { from, to }: Part): Tensor => slice(x, [from, 0], [to, x.shape[1]!])

/** As `decoder`, on fused matrices. They have no biases, and no vectors. @throws Error if shapes do not fit */
export const fusedDecoder =
  (config: DecoderConfig, options: ModelOptions) =>
  ({ base, adapters, gates, head }: Omit<Operands, 'vectors'>, tokens: Tokens): TracedModel => {
    const parts = listParts(config)
    const adapted = parts.filter(({ whole }) => adapters[whole] !== undefined)
    const weight = (module: string): string => `${module}.weight`
    const split: Operands = {
      base: { ...base, ...Object.fromEntries(parts.map((part) => [weight(part.part), rows(named(base, weight(part.whole)), part)])) },
      adapters: Object.fromEntries(
        adapted.map((part) => [part.part, { A: adapters[part.whole]!.A, B: rows(adapters[part.whole]!.B, part) }]),
      ),
      gates: Object.fromEntries(adapted.flatMap(({ part, whole }) => (gates[whole] === undefined ? [] : [[part, gates[whole]]]))),
      head,
    }
    const traced = decoder(config, options)(split, tokens)
    return {
      ...traced,
      pullback: (logitsBar) => {
        const found = traced.pullback(logitsBar)
        const findParts = (whole: string): readonly string[] => parts.filter((part) => part.whole === whole).map(({ part }) => part)
        const summed = (tensors: readonly Tensor[]): Tensor => tensors.reduce(add)
        const wholes = Object.keys(adapters)
        const joinFactors = (whole: string): Factors => ({
          A: summed(findParts(whole).map((part) => found.adapters[part]!.A)),
          B: stackRows(findParts(whole).map((part) => found.adapters[part]!.B)),
        })
        const partWeights = new Set(parts.map(({ part }) => weight(part)))
        const stacked: Tensors = Object.fromEntries(
          fusedDecoderModules(config)
            .filter((whole) => findParts(whole).every((part) => found.base[weight(part)] !== undefined))
            .map((whole) => [weight(whole), stackRows(findParts(whole).map((part) => named(found.base, weight(part))))]),
        )
        return {
          base: { ...Object.fromEntries(Object.entries(found.base).filter(([name]) => !partWeights.has(name))), ...stacked },
          adapters: Object.fromEntries(wholes.map((whole) => [whole, joinFactors(whole)])),
          gates: Object.fromEntries(wholes.map((whole) => [whole, summed(findParts(whole).map((part) => named(found.gates, part)))])),
          vectors: {},
          head: found.head,
        }
      },
    }
  }
