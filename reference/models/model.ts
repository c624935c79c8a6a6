/** A model as the objective uses it: the operands of a forward pass, the logits, and the gradients. */
import type { ModelTensors } from '../layers/adaptedLinear.js'
import type { ModuleVector } from '../layers/ia3.js'
import { exactLinear, type FrozenLinear } from '../layers/linear.js'
import { openGates, type Factors } from '../layers/lowRank.js'
import { named, type Tensor, type Tensors } from '../tensor/tensor.js'

/** The tensors that a forward pass reads. */
export interface Operands {
  /** The frozen model. Tensors of `head` override these. */
  readonly base: Tensors
  /** By module; an absent module is not adapted. */
  readonly adapters: Readonly<Record<string, Factors>>
  /** By module, each [r]; an absent module has every gate open. */
  readonly gates: Tensors
  /** IA³'s, by module. Default: none. */
  readonly vectors?: Readonly<Record<string, ModuleVector>>
  readonly head: Tensors
}

export interface ModelOptions {
  /** α / r */
  readonly scale: number
  /** Also the gradients of the base model's tensors, embeddings included. Default: false, as they are frozen. */
  readonly baseGradients?: boolean
  /** Products with frozen matrices. Default: exact. */
  readonly frozenLinear?: FrozenLinear
  /** NEFTune's noise, which is added to the word embeddings: [tokens, hidden]. Default: none. */
  readonly embeddingNoise?: Tensor
}

/** Gradients, under the names of the operands. */
export interface ModelGradients {
  /** Empty unless `baseGradients` is set. */
  readonly base: Tensors
  readonly adapters: Readonly<Record<string, Factors>>
  readonly gates: Tensors
  readonly vectors: Tensors
  readonly head: Tensors
}

export interface TracedModel {
  /** The last layer's output: [tokens, hidden] */
  readonly hidden: Tensor
  /** An encoder's head: [batch, labels], or [tokens, labels] if tokens are classified; a decoder: [tokens, vocabulary] */
  readonly logits: Tensor
  /** logitsBar: as `logits` */
  readonly pullback: (logitsBar: Tensor) => ModelGradients
}

/** Operands as layers take them: the head's tensors override the base's, and gates default to open. */
export const toModelTensors = (
  { base, adapters, gates, vectors = {}, head }: Operands,
  { scale, baseGradients = false, frozenLinear = exactLinear }: ModelOptions,
): ModelTensors => ({
  weights: { ...base, ...head },
  factors: adapters,
  gates: Object.fromEntries(Object.entries(adapters).map(([module, factors]) => [module, gates[module] ?? openGates(factors)])),
  scale,
  vectors,
  wanted: (name) => baseGradients || head[name] !== undefined,
  frozen: frozenLinear,
})

const pick = (gradients: Tensors, names: readonly string[]): Tensors =>
  Object.fromEntries(names.filter((name) => gradients[name] !== undefined).map((name) => [name, named(gradients, name)]))

/** Groups gradients by operand. */
export const sortGradients = (gradients: Tensors, { base, adapters, vectors = {}, head }: Operands): ModelGradients => {
  const modules = Object.keys(adapters)
  const gradient = (name: string): Tensor => named(gradients, name)
  return {
    base: pick(
      gradients,
      Object.keys(base).filter((name) => head[name] === undefined),
    ),
    adapters: Object.fromEntries(modules.map((module) => [module, { A: gradient(`${module}.A`), B: gradient(`${module}.B`) }])),
    gates: Object.fromEntries(modules.map((module) => [module, gradient(`${module}.g`)])),
    vectors: Object.fromEntries(Object.keys(vectors).map((module) => [module, gradient(`${module}.l`)])),
    head: pick(gradients, Object.keys(head)),
  }
}
