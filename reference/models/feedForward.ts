/** The position-wise feed-forward block of an encoder layer: W_D gelu(W_U x). */
import type { EncoderConfig } from './encoderConfig.js'
import { adaptedLinear, type ModelTensors } from '../layers/adaptedLinear.js'
import { gelu, geluVjp } from '../layers/gelu.js'
import { plainLayer, sequence, type Layer } from '../layers/layer.js'

/** x: [tokens, hidden] → [tokens, hidden], through [tokens, intermediate] */
export const feedForward = (model: ModelTensors, { activation }: EncoderConfig, layer: string): Layer =>
  sequence(
    adaptedLinear(model, `${layer}.intermediate.dense`),
    plainLayer(gelu(activation), geluVjp(activation)),
    adaptedLinear(model, `${layer}.output.dense`),
  )
