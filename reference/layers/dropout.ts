/** Dropout as a product with a mask that the caller drew: 0, or 1 / (1 − p) where a value is kept. */
import { multiply, type Tensor } from '../tensor.js'

/** No mask means no dropout. x, mask: the same shape → that shape */
export const dropout = (mask: Tensor | undefined, x: Tensor): Tensor => (mask === undefined ? x : multiply(x, mask))

/** The same product: dropout is linear. yBar, mask: the same shape → that shape */
export const dropoutVjp = dropout
