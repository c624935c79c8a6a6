/** A RoBERTa or BERT encoder with gated adapters on its six matrices and a head: forwards, and backwards by hand-derived rules. */
import { normalisation, type ModelTensors } from '../layers/adaptedLinear.js'
import { embeddings, type Tokens } from '../layers/embeddings.js'
import { feedForward } from '../layers/feedForward.js'
import { residual, sequence, type Layer } from '../layers/layer.js'
import { selfAttention } from '../layers/selfAttention.js'
import { dropoutLayer, sequenceHead } from '../layers/sequenceHead.js'
import { merge, openGates, type Factors } from '../methods/lowRank.js'
import { named, type Tensor, type Tensors } from '../tensor.js'
import { layerName, type EncoderConfig } from './encoderConfig.js'

/** The tensors that a forward pass reads. */
export interface Operands {
  /** The frozen model; tensors that `head` also has are taken from there. */
  readonly base: Tensors
  /** By module; a module that is absent is not adapted. */
  readonly adapters: Readonly<Record<string, Factors>>
  /** By module, each [r]; a module that is absent has every gate open. */
  readonly gates: Tensors
  readonly head: Tensors
}

export interface EncoderOptions {
  /** α / r */
  readonly scale: number
  /** Also the gradients of the base model's tensors, embeddings included. Default: false, as they are frozen. */
  readonly baseGradients?: boolean
}

/** Gradients, under the names of the operands. */
export interface EncoderGradients {
  /** Empty unless asked for. */
  readonly base: Tensors
  readonly adapters: Readonly<Record<string, Factors>>
  readonly gates: Tensors
  readonly head: Tensors
}

export interface TracedEncoder {
  /** The last layer's output: [tokens, hidden] */
  readonly hidden: Tensor
  /** [batch, labels] */
  readonly logits: Tensor
  /** logitsBar: [batch, labels] */
  readonly pullback: (logitsBar: Tensor) => EncoderGradients
}

/** x ← norm(x + dropout(attention(x))); x ← norm(x + dropout(feedForward(x))). x: [tokens, hidden] → [tokens, hidden] */
const encoderLayer =
  (model: ModelTensors, config: EncoderConfig, lengths: ReadonlyArray<number>, masks: Tensors) =>
  (layer: string): Layer => {
    const settings = { heads: config.heads, lengths, mask: masks[`${layer}.attention.probabilities`] }
    const norm = (name: string): Layer => normalisation(model, config.layerNormEpsilon, name)
    return sequence(
      residual(sequence(selfAttention(model, settings, layer), dropoutLayer(masks, `${layer}.attention.output`))),
      norm(`${layer}.attention.output.LayerNorm`),
      residual(sequence(feedForward(model, config, layer), dropoutLayer(masks, `${layer}.output`))),
      norm(`${layer}.output.LayerNorm`),
    )
  }

const pick = (gradients: Tensors, names: ReadonlyArray<string>): Tensors =>
  Object.fromEntries(names.filter((name) => gradients[name] !== undefined).map((name) => [name, named(gradients, name)]))

/** Sorts gradients that came back under one flat set of names. */
const sortGradients = (gradients: Tensors, { base, adapters, head }: Operands): EncoderGradients => {
  const modules = Object.keys(adapters)
  const gradient = (name: string): Tensor => named(gradients, name)
  return {
    base: pick(
      gradients,
      Object.keys(base).filter((name) => head[name] === undefined),
    ),
    adapters: Object.fromEntries(modules.map((module) => [module, { A: gradient(`${module}.A`), B: gradient(`${module}.B`) }])),
    gates: Object.fromEntries(modules.map((module) => [module, gradient(`${module}.g`)])),
    head: pick(gradients, Object.keys(head)),
  }
}

/**
 * Runs the encoder on a batch of token sequences without padding.
 * `masks` are dropout masks by site, already scaled; a site that is absent has no dropout. Throws on shapes that do not fit.
 */
export const encoder =
  (config: EncoderConfig, { scale, baseGradients = false }: EncoderOptions) =>
  (operands: Operands, tokens: Tokens, masks: Tensors = {}): TracedEncoder => {
    const { base, adapters, gates, head } = operands
    const lengths = tokens.inputIds.map((ids) => ids.length)
    const model: ModelTensors = {
      weights: { ...base, ...head },
      factors: adapters,
      gates: Object.fromEntries(Object.entries(adapters).map(([module, factors]) => [module, gates[module] ?? openGates(factors)])),
      scale,
      wanted: (name) => baseGradients || head[name] !== undefined,
    }
    const layers = Array.from({ length: config.layers }, (_, n) => encoderLayer(model, config, lengths, masks)(layerName(n)))
    const input = embeddings(model, config, tokens) // [tokens, hidden]
    const body = sequence(
      normalisation(model, config.layerNormEpsilon, 'embeddings.LayerNorm'),
      dropoutLayer(masks, 'embeddings'),
      ...layers,
    )(input.value)
    const output = sequenceHead(model, config, lengths, masks)(body.value)
    return {
      hidden: body.value,
      logits: output.value,
      pullback: (logitsBar) => {
        const fromHead = output.pullback(logitsBar)
        const fromBody = body.pullback(fromHead.x)
        const gradients = { ...fromHead.gradients, ...fromBody.gradients, ...input.pullback(fromBody.x) }
        return sortGradients(gradients, operands)
      },
    }
  }

/** The base model with every increment added to its matrix: it needs no adapters, and computes the same. */
export const mergeAdapters =
  (scale: number) =>
  ({ base, adapters, gates }: Omit<Operands, 'head'>): Tensors => ({
    ...base,
    ...Object.fromEntries(
      Object.entries(adapters).map(([module, factors]) => {
        const name = `${module}.weight`
        return [name, merge(scale)(named(base, name), factors, gates[module] ?? openGates(factors))]
      }),
    ),
  })
