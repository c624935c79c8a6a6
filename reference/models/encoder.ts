/** A RoBERTa or BERT encoder with gated adapters on its six matrices and a head: forwards, and backwards by hand-derived rules. */
import { normalization, type ModelTensors, adaptedLinear } from '../layers/adaptedLinear.js'
import { embeddings, type Tokens } from './embeddings.js'
import { residual, sequence, type Layer, plainLayer } from '../layers/layer.js'
import { selfAttention } from '../layers/attention.js'
import { merge, openGates } from '../layers/lowRank.js'
import { named, type Tensors, map, multiply, scatterRows, selectRows } from '../tensor/tensor.js'
import { layerName, type EncoderConfig } from './encoderConfig.js'
import { sortGradients, toModelTensors, type ModelOptions, type Operands, type TracedModel } from './model.js'
import { gelu, geluVjp } from '../layers/gelu.js'
import { dropout, dropoutVjp } from '../layers/dropout.js'

/** x ← norm(x + dropout(attention(x))); x ← norm(x + dropout(feedForward(x))). x: [tokens, hidden] → [tokens, hidden] */
const encoderLayer =
  (model: ModelTensors, config: EncoderConfig, lengths: readonly number[], masks: Tensors) =>
  (layer: string): Layer => {
    const settings = { heads: config.heads, lengths, mask: masks[`${layer}.attention.probabilities`] }
    const norm = (name: string): Layer => normalization(model, config.layerNormEpsilon, name)
    return sequence(
      residual(sequence(selfAttention(model, settings, layer), dropoutLayer(masks, `${layer}.attention.output`))),
      norm(`${layer}.attention.output.LayerNorm`),
      residual(sequence(feedForward(model, config, layer), dropoutLayer(masks, `${layer}.output`))),
      norm(`${layer}.output.LayerNorm`),
    )
  }

/**
 * Runs the encoder on a batch of token sequences without padding.
 * `masks` are scaled dropout masks by site; an absent site has no dropout. @throws Error if shapes do not fit
 */
export const encoder =
  (config: EncoderConfig, options: ModelOptions) =>
  (operands: Operands, tokens: Tokens, masks: Tensors = {}): TracedModel => {
    const lengths = tokens.inputIds.map((ids) => ids.length)
    const model = toModelTensors(operands, options)
    const layers = Array.from({ length: config.layers }, (_, n) => encoderLayer(model, config, lengths, masks)(layerName(n)))
    const input = embeddings(model, config, tokens) // [tokens, hidden]
    const body = sequence(
      normalization(model, config.layerNormEpsilon, 'embeddings.LayerNorm'),
      dropoutLayer(masks, 'embeddings'),
      ...layers,
    )(input.value)
    const head = config.taskType === 'tokens' ? tokenHead(model, masks) : sequenceHead(model, config, lengths, masks)
    const output = head(body.value)
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

/** The base model with every increment merged into its matrix: it computes the same without adapters. */
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

// The position-wise feed-forward block of an encoder layer: W_D gelu(W_U x).
/** x: [tokens, hidden] → [tokens, hidden], through [tokens, intermediate] */
const feedForward = (model: ModelTensors, { activation }: EncoderConfig, layer: string): Layer =>
  sequence(
    adaptedLinear(model, `${layer}.intermediate.dense`),
    plainLayer(gelu(activation), geluVjp(activation)),
    adaptedLinear(model, `${layer}.output.dense`),
  )

// The head that turns every token of an encoder into the logits of its classes.
/** dropout → classifier. x: [tokens, hidden] → [tokens, labels] */
const tokenHead = (model: ModelTensors, masks: Tensors): Layer =>
  sequence(dropoutLayer(masks, 'head.input'), adaptedLinear(model, 'classifier'))

/** The head that turns an encoder's first token into the outputs of a task. */

/** The hidden state of each example's first token. x: [tokens, hidden] → [batch, hidden] */
const firstTokens = (lengths: readonly number[]): Layer => {
  const starts = lengths.map((_, example) => lengths.slice(0, example).reduce((total, n) => total + n, 0))
  return plainLayer(
    (x) => selectRows(x, starts),
    (x, yBar) => scatterRows(yBar, starts, x.shape[0]!),
  )
}

/** tanh, of slope 1 − tanh². */
const tanh: Layer = plainLayer(map(Math.tanh), (x, yBar) => multiply(yBar, map((value) => 1 - Math.tanh(value) ** 2)(x)))

export const dropoutLayer = (masks: Tensors, site: string): Layer =>
  plainLayer(
    (x) => dropout(masks[site], x),
    (_, yBar) => dropoutVjp(masks[site], yBar),
  )

/**
 * RoBERTa: dropout → classifier.dense → tanh → dropout → classifier.out_proj;
 * BERT: pooler.dense → tanh → dropout → classifier.
 * x: [tokens, hidden] → [batch, labels]
 */
export const sequenceHead = (model: ModelTensors, { family }: EncoderConfig, lengths: readonly number[], masks: Tensors): Layer =>
  family === 'roberta'
    ? sequence(
        firstTokens(lengths),
        dropoutLayer(masks, 'head.input'),
        adaptedLinear(model, 'classifier.dense'),
        tanh,
        dropoutLayer(masks, 'head.hidden'),
        adaptedLinear(model, 'classifier.out_proj'),
      )
    : sequence(
        firstTokens(lengths),
        adaptedLinear(model, 'pooler.dense'),
        tanh,
        dropoutLayer(masks, 'head.input'),
        adaptedLinear(model, 'classifier'),
      )
