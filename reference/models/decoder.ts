/** A LLaMA-like decoder (Touvron et al., 2023) with gated adapters on its seven matrices: forwards, and backwards by hand-derived rules. */
import { adaptedLinear, type ModelTensors } from '../layers/adaptedLinear.js'
import { causalAttention, causalAttentionVjp, type CausalAttentionSettings } from '../layers/causalAttention.js'
import { embedding, embeddingVjp } from '../layers/embedding.js'
import type { Tokens } from './embeddings.js'
import { gatedFeedForward } from '../layers/gatedFeedForward.js'
import { plainLayer, residual, sequence, type Layer } from '../layers/layer.js'
import { linearInputVjp, linearWeightVjp } from '../layers/linear.js'
import { rmsNorm, rmsNormVjp } from '../layers/rmsNorm.js'
import { rotate } from '../layers/rotary.js'
import { softCap, softCapVjp } from '../layers/softCap.js'
import { matMul } from '../tensor/matMul.js'
import { add, map, named, reshape, scaleBy, type Tensor } from '../tensor/tensor.js'
import { decoderLayerName, decoderNorms, type DecoderConfig } from './decoderConfig.js'
import { sortGradients, toModelTensors, type ModelOptions, type Operands, type TracedModel } from './model.js'

/** x: [n, width] → [n, width], with the weight of this name */
const normalization =
  (model: ModelTensors, { rmsNormEpsilon, normOffset }: DecoderConfig, name: string): Layer =>
  (x) => {
    const weight = map((w) => w + normOffset)(named(model.weights, `${name}.weight`))
    return {
      value: rmsNorm(rmsNormEpsilon)(x, weight),
      pullback: (yBar) => {
        const pulled = rmsNormVjp(rmsNormEpsilon)(x, weight, yBar)
        return { x: pulled.x, gradients: model.wanted(`${name}.weight`) ? { [`${name}.weight`]: pulled.weight } : {} }
      },
    }
  }

/** Each head as a row of its own. x: [tokens, heads · headSize] → the same */
const byHead =
  ({ headSize }: DecoderConfig, layer: Layer): Layer =>
  (x) => {
    const rows = (y: Tensor): Tensor => reshape(y, [y.data.length / headSize, headSize])
    const traced = layer(rows(x))
    return {
      value: reshape(traced.value, x.shape),
      pullback: (yBar) => {
        const pulled = traced.pullback(rows(yBar))
        return { x: reshape(pulled.x, x.shape), gradients: pulled.gradients }
      },
    }
  }

/** W_Q x or W_K x, normalized head by head or together where the configuration has it. x: [tokens, hidden] → [tokens, heads · headSize] */
const beforeRotation = (model: ModelTensors, config: DecoderConfig, at: string): Layer => {
  const projected = adaptedLinear(model, `${at}_proj`)
  if (config.queryKeyNorms === false) return projected
  const normalized = normalization(model, config, `${at}_norm`)
  return sequence(projected, config.queryKeyNorms === 'together' ? normalized : byHead(config, normalized))
}

/** W_O attention(rotate(W_Q x), rotate(W_K x), W_V x). x: [tokens, hidden] → [tokens, hidden] */
const selfAttention = (model: ModelTensors, config: DecoderConfig, lengths: readonly number[], n: number): Layer => {
  const { heads, keyValueHeads, headSize, rotarySize = headSize, scoreScale: scale, scoreCap: cap } = config
  const layer = decoderLayerName(n)
  const window = config.windows[n] ?? null
  const { rotaryBase, rotaryScaling } = (window === null ? null : config.localRotary) ?? config
  const settings: CausalAttentionSettings = { heads, keyValueHeads, headSize, scale, cap, lengths, window }
  const positions = lengths.flatMap((length) => Array.from({ length }, (_, position) => position))
  const turn = (direction: 1 | -1) =>
    config.rotated?.[n] === false
      ? (x: Tensor): Tensor => x
      : rotate({ headSize, base: rotaryBase, scaling: rotaryScaling, turned: rotarySize }, positions, direction)
  const mixing: Layer = (x) => {
    const [query, key] = [
      beforeRotation(model, config, `${layer}.self_attn.q`)(x),
      beforeRotation(model, config, `${layer}.self_attn.k`)(x),
    ]
    const value = adaptedLinear(model, `${layer}.self_attn.v_proj`)(x)
    const inputs = { query: turn(1)(query.value), key: turn(1)(key.value), value: value.value }
    return {
      value: causalAttention(settings)(inputs),
      pullback: (yBar) => {
        const bars = causalAttentionVjp(settings)(inputs, yBar)
        const [q, k, v] = [query.pullback(turn(-1)(bars.query)), key.pullback(turn(-1)(bars.key)), value.pullback(bars.value)] as const
        return { x: add(add(q.x, k.x), v.x), gradients: { ...q.gradients, ...k.gradients, ...v.gradients } }
      },
    }
  }
  return sequence(mixing, adaptedLinear(model, `${layer}.self_attn.o_proj`))
}

/**
 * x ← x + attention(norm(x)); x ← x + feedForward(norm(x)). With norms of the outputs, x ← x + norm(attention(norm(x))), or norm(attention(x)), and so on.
 * x: [tokens, hidden] → [tokens, hidden]
 */
const decoderLayer = (model: ModelTensors, config: DecoderConfig, lengths: readonly number[], n: number): Layer => {
  const layer = decoderLayerName(n)
  const [first, second, ...more] = decoderNorms(config).map((name) => normalization(model, config, `${layer}.${name}`)) as [Layer, Layer]
  const [third, fourth] = more as readonly Layer[] as readonly [Layer?, Layer?]
  const scaled = (sublayer: Layer): Layer => sequence(sublayer, scaling(config.residualScale))
  const attention = scaled(selfAttention(model, config, lengths, n))
  const feedForward = scaled(gatedFeedForward(model, config.activation, layer))
  if (config.outputNorms === 'alone') return sequence(residual(sequence(attention, first)), residual(sequence(feedForward, second)))
  return third === undefined || fourth === undefined
    ? sequence(residual(sequence(first, attention)), residual(sequence(second, feedForward)))
    : sequence(residual(sequence(first, attention, second)), residual(sequence(third, feedForward, fourth)))
}

/** factor · x */
const scaling = (factor = 1): Layer => plainLayer(scaleBy(factor), (_, yBar) => scaleBy(factor)(yBar))

/** Logits over the vocabulary by the output matrix, which may be the table of embeddings. x: [tokens, hidden] → [tokens, vocabulary] */
const output =
  (model: ModelTensors, name: string): Layer =>
  (x) => {
    const weight = named(model.weights, name)
    return {
      value: matMul(x, weight, { transposeY: true }),
      pullback: (yBar) => ({
        x: linearInputVjp(weight, yBar),
        gradients: model.wanted(name) ? { [name]: linearWeightVjp(x, yBar) } : {},
      }),
    }
  }

const table = 'embed_tokens.weight'

/** Runs the decoder on a batch of token sequences without padding; `logits` are those of every token. @throws Error if shapes do not fit */
export const decoder =
  (config: DecoderConfig, options: ModelOptions) =>
  (operands: Operands, { inputIds }: Tokens): TracedModel => {
    const lengths = inputIds.map((ids) => ids.length)
    const model = toModelTensors(operands, options)
    const noisy = (x: Tensor): Tensor => (options.embeddingNoise === undefined ? x : add(x, options.embeddingNoise))
    const body = sequence(
      ...Array.from({ length: config.layers }, (_, n) => decoderLayer(model, config, lengths, n)),
      normalization(model, config, 'norm'),
    )(noisy(scaleBy(config.embeddingScale)(embedding(named(model.weights, table), inputIds.flat()))))
    const capped = plainLayer(softCap(config.logitCap), softCapVjp(config.logitCap))
    const logits = sequence(output(model, config.tied ? table : 'lm_head.weight'), scaling(config.logitScale), capped)(body.value)
    return {
      hidden: body.value,
      logits: logits.value,
      pullback: (logitsBar) => {
        const fromLogits = logits.pullback(logitsBar)
        const fromBody = body.pullback(fromLogits.x)
        const gradients = { ...fromLogits.gradients, ...fromBody.gradients }
        return sortGradients(model.wanted(table) ? { ...gradients, [table]: tableGradient(fromBody.x) } : gradients, operands)

        /** The gradient of the lookups, plus that of the output if it is the same matrix. */
        function tableGradient(embedded: Tensor): Tensor {
          const ofLookups = embeddingVjp(config.vocabularySize, inputIds.flat(), scaleBy(config.embeddingScale)(embedded))
          const shared = fromLogits.gradients[table]
          return shared === undefined ? ofLookups : add(ofLookups, shared)
        }
      },
    }
  }
