/** Dropout (Srivastava et al., 2014) as a product with a mask, and the mask as a function of uniform numbers that the caller drew. */
import { map, multiply, type Tensor } from '../tensor/tensor.js'

/** 0 where u < p, which happens with probability p; elsewhere 1 / (1 − p), so that the mean is 1. u: any shape → that shape */
export const dropoutMask = (probability: number): ((u: Tensor) => Tensor) => map((u) => (u < probability ? 0 : 1 / (1 - probability)))

/** No mask means no dropout. x, mask: the same shape → that shape */
export const dropout = (mask: Tensor | undefined, x: Tensor): Tensor => (mask === undefined ? x : multiply(x, mask))

/** The same product: dropout is linear. yBar, mask: the same shape → that shape */
export const dropoutVjp = dropout
