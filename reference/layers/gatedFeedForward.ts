/** The gated feed-forward block of a decoder layer, SwiGLU (Shazeer, 2020): W_D (silu(W_G x) ⊙ W_U x). */
import { add, map, multiply, type Tensor } from '../tensor/tensor.js'
import { adaptedLinear, type ModelTensors } from './adaptedLinear.js'
import { sequence, type Layer } from './layer.js'

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** x σ(x), of slope σ(x) (1 + x (1 − σ(x))) */
export const silu: (x: Tensor) => Tensor = map((x) => x * sigmoid(x))
const siluSlope = map((x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))))

/** x: [tokens, hidden] → [tokens, intermediate] */
const gatedUp =
  (model: ModelTensors, layer: string): Layer =>
  (x) => {
    const gate = adaptedLinear(model, `${layer}.mlp.gate_proj`)(x)
    const up = adaptedLinear(model, `${layer}.mlp.up_proj`)(x)
    return {
      value: multiply(silu(gate.value), up.value),
      pullback: (yBar) => {
        const throughGate = gate.pullback(multiply(multiply(yBar, up.value), siluSlope(gate.value)))
        const throughUp = up.pullback(multiply(yBar, silu(gate.value)))
        return { x: add(throughGate.x, throughUp.x), gradients: { ...throughGate.gradients, ...throughUp.gradients } }
      },
    }
  }

/** x: [tokens, hidden] → [tokens, hidden] */
export const gatedFeedForward = (model: ModelTensors, layer: string): Layer =>
  sequence(gatedUp(model, layer), adaptedLinear(model, `${layer}.mlp.down_proj`))
