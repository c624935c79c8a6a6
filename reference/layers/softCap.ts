/** A soft cap (Bello et al., 2017): c tanh(x / c), of slope 1 − tanh²(x / c). */
import { map, multiply, type Tensor } from '../tensor/tensor.js'

/** x: any shape → the same; x itself without a cap */
export const softCap =
  (cap: number | null) =>
  (x: Tensor): Tensor =>
    cap === null ? x : map((value) => cap * Math.tanh(value / cap))(x)

/** x, yBar: the same shape → that shape */
export const softCapVjp =
  (cap: number | null) =>
  (x: Tensor, yBar: Tensor): Tensor =>
    cap === null ? yBar : multiply(yBar, map((value) => 1 - Math.tanh(value / cap) ** 2)(x))
