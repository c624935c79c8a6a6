/** The layers that have tensors: linear layers with their low-rank increment, and normalizations. */
import { applyIncrement, applyIncrementVjp, type Factors } from './lowRank.js'
import { add, named, type Tensors } from '../tensor/tensor.js'
import type { Layer } from './layer.js'
import { scaledLinear, type ModuleVector } from './ia3.js'
import { layerNorm, layerNormVjp } from './layerNorm.js'
import { exactLinear, linearBiasVjp, linearWeightVjp, type FrozenLinear } from './linear.js'

/** Everything a layer may need of a model. */
export interface ModelTensors {
  /** The base model's tensors and the head's. */
  readonly weights: Tensors
  /** A module that is absent here is not adapted. */
  readonly factors: Readonly<Record<string, Factors>>
  /** Each [r]; one for each module in `factors`. */
  readonly gates: Tensors
  readonly scale: number
  /** IA³'s; a module that is absent here has none. */
  readonly vectors: Readonly<Record<string, ModuleVector>>
  /** Whether to compute the gradient of the weight of this name. */
  readonly wanted: (name: string) => boolean
  /** The computation of layers with a frozen weight. */
  readonly frozen: FrozenLinear
}

const computeWanted = ({ wanted }: ModelTensors, gradients: Readonly<Record<string, () => Tensors[string]>>): Tensors =>
  Object.fromEntries(
    Object.entries(gradients)
      .filter(([name]) => wanted(name))
      .map(([name, compute]) => [name, compute()]),
  )

/** h = W x + bias, without the increment. Modules without a bias in the model have none. x: [n, k] → [n, d] */
const baseLinear =
  (model: ModelTensors, module: string): Layer =>
  (x) => {
    const weight = named(model.weights, `${module}.weight`)
    const bias = model.weights[`${module}.bias`]
    const { value, inputVjp } = model.wanted(`${module}.weight`) ? exactLinear : model.frozen
    return {
      value: value(module, x, weight, bias),
      pullback: (yBar) => ({
        x: inputVjp(module, weight, yBar),
        gradients: computeWanted(model, {
          [`${module}.weight`]: () => linearWeightVjp(x, yBar),
          ...(bias === undefined ? {} : { [`${module}.bias`]: () => linearBiasVjp(yBar) }),
        }),
      }),
    }
  }

/** h = W x + bias + scale · B (g ⊙ (A x)). x: [n, k] → [n, d]; gradients of A, B and g are called MODULE.A, .B and .g */
const lowRankLinear =
  (model: ModelTensors, module: string): Layer =>
  (x) => {
    const base = baseLinear(model, module)(x)
    const factors = model.factors[module]
    if (factors === undefined) return base
    const g = named(model.gates, module)
    return {
      value: add(base.value, applyIncrement(model.scale)(factors, g, x)),
      pullback: (yBar) => {
        const through = base.pullback(yBar)
        const adapter = applyIncrementVjp(model.scale)(factors, g, x, yBar)
        return {
          x: add(through.x, adapter.x),
          gradients: { ...through.gradients, [`${module}.A`]: adapter.A, [`${module}.B`]: adapter.B, [`${module}.g`]: adapter.g },
        }
      },
    }
  }

/** The same between IA³'s vector, if there is one, and what it scales; the gradient of the vector is called MODULE.l */
export const adaptedLinear = (model: ModelTensors, module: string): Layer =>
  scaledLinear(lowRankLinear(model, module), model.vectors[module], `${module}.l`)

/** Layer normalization with the weights of this name. x: [n, width] → [n, width] */
export const normalization =
  (model: ModelTensors, epsilon: number, name: string): Layer =>
  (x) => {
    const weight = named(model.weights, `${name}.weight`)
    return {
      value: layerNorm(epsilon)(x, weight, named(model.weights, `${name}.bias`)),
      pullback: (yBar) => {
        const pulled = layerNormVjp(epsilon)(x, weight, yBar)
        return {
          x: pulled.x,
          gradients: computeWanted(model, { [`${name}.weight`]: () => pulled.weight, [`${name}.bias`]: () => pulled.bias }),
        }
      },
    }
  }
