/** Layers as functions that return their value and its pullback, and the two ways to compose them: in sequence, or with a residual. */
import { add, type Tensor, type Tensors } from '../tensor/tensor.js'

/** x̄, and the gradients of the layer's tensors by name. */
export interface Pulled {
  readonly x: Tensor
  readonly gradients: Tensors
}

/** A value, and the pullback of its gradient ȳ. */
interface Traced {
  readonly value: Tensor
  readonly pullback: (yBar: Tensor) => Pulled
}

export type Layer = (x: Tensor) => Traced

/** A layer without tensors. */
export const plainLayer =
  (forward: (x: Tensor) => Tensor, vjp: (x: Tensor, yBar: Tensor) => Tensor): Layer =>
  (x) => ({
    value: forward(x),
    pullback: (yBar) => ({ x: vjp(x, yBar), gradients: {} }),
  })

const andThen =
  (first: Layer, second: Layer): Layer =>
  (x) => {
    const inner = first(x)
    const outer = second(inner.value)
    return {
      value: outer.value,
      pullback: (yBar) => {
        const fromOuter = outer.pullback(yBar)
        const fromInner = inner.pullback(fromOuter.x)
        return { x: fromInner.x, gradients: { ...fromOuter.gradients, ...fromInner.gradients } }
      },
    }
  }

const identityLayer: Layer = plainLayer(
  (x) => x,
  (_, yBar) => yBar,
)

/** One layer after another. Their tensors have different names, so gradients need no adding up. */
export const sequence = (...layers: readonly Layer[]): Layer => layers.reduce(andThen, identityLayer)

/** x + layer(x) */
export const residual =
  (layer: Layer): Layer =>
  (x) => {
    const traced = layer(x)
    return {
      value: add(x, traced.value),
      pullback: (yBar) => {
        const pulled = traced.pullback(yBar)
        return { x: add(yBar, pulled.x), gradients: pulled.gradients }
      },
    }
  }
