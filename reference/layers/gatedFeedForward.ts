/** The gated feed-forward block of a decoder layer (Shazeer, 2020): W_D (a(W_G x) ⊙ W_U x), where a is SiLU or GELU. */
import { add, map, multiply, type Tensor } from '../tensor/tensor.js'
import { adaptedLinear, type ModelTensors } from './adaptedLinear.js'
import { gelu, geluVjp } from './gelu.js'
import { sequence, type Layer } from './layer.js'

/** As config.json names them. */
export type GateActivation = 'silu' | 'gelu_pytorch_tanh'

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** x σ(x), of slope σ(x) (1 + x (1 − σ(x))) */
const silu: (x: Tensor) => Tensor = map((x) => x * sigmoid(x))
const siluSlope = map((x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))))

interface Activation {
  readonly value: (x: Tensor) => Tensor
  readonly vjp: (x: Tensor, yBar: Tensor) => Tensor
}

const activations: Readonly<Record<GateActivation, Activation>> = {
  silu: { value: silu, vjp: (x, yBar) => multiply(yBar, siluSlope(x)) },
  gelu_pytorch_tanh: { value: gelu('gelu_tanh'), vjp: geluVjp('gelu_tanh') },
}

/** x: [tokens, hidden] → [tokens, intermediate] */
const gatedUp =
  (model: ModelTensors, activation: GateActivation, layer: string): Layer =>
  (x) => {
    const { value, vjp } = activations[activation]
    const gate = adaptedLinear(model, `${layer}.mlp.gate_proj`)(x)
    const up = adaptedLinear(model, `${layer}.mlp.up_proj`)(x)
    return {
      value: multiply(value(gate.value), up.value),
      pullback: (yBar) => {
        const throughGate = gate.pullback(vjp(gate.value, multiply(yBar, up.value)))
        const throughUp = up.pullback(multiply(yBar, value(gate.value)))
        return { x: add(throughGate.x, throughUp.x), gradients: { ...throughGate.gradients, ...throughUp.gradients } }
      },
    }
  }

/** x: [tokens, hidden] → [tokens, hidden] */
export const gatedFeedForward = (model: ModelTensors, activation: GateActivation, layer: string): Layer =>
  sequence(gatedUp(model, activation, layer), adaptedLinear(model, `${layer}.mlp.down_proj`))
