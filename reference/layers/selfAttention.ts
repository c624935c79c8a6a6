/** The attention block of an encoder layer: W_O attention(W_Q x, W_K x, W_V x). */
import { add } from '../tensor/tensor.js'
import { adaptedLinear, type ModelTensors } from './adaptedLinear.js'
import { attention, attentionVjp, type AttentionSettings } from './attention.js'
import { sequence, type Layer } from './layer.js'

/** x: [tokens, hidden] → [tokens, hidden] */
const mixing =
  (model: ModelTensors, settings: AttentionSettings, layer: string): Layer =>
  (x) => {
    const query = adaptedLinear(model, `${layer}.attention.self.query`)(x)
    const key = adaptedLinear(model, `${layer}.attention.self.key`)(x)
    const value = adaptedLinear(model, `${layer}.attention.self.value`)(x)
    const inputs = { query: query.value, key: key.value, value: value.value }
    return {
      value: attention(settings)(inputs),
      pullback: (yBar) => {
        const bars = attentionVjp(settings)(inputs, yBar)
        const [q, k, v] = [query.pullback(bars.query), key.pullback(bars.key), value.pullback(bars.value)] as const
        return { x: add(add(q.x, k.x), v.x), gradients: { ...q.gradients, ...k.gradients, ...v.gradients } }
      },
    }
  }

/** x: [tokens, hidden] → [tokens, hidden] */
export const selfAttention = (model: ModelTensors, settings: AttentionSettings, layer: string): Layer =>
  sequence(mixing(model, settings, layer), adaptedLinear(model, `${layer}.attention.output.dense`))
