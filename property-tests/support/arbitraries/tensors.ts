/** Tensors of a given shape with moderate values. */
import fc from 'fast-check'
import { tensor, type Shape, type Tensor } from '../../../reference/index.js'

/** A number that float32 also has, so that both derivations can be fed the same. */
export const number = (min = -2, max = 2): fc.Arbitrary<number> => fc.double({ min, max, noNaN: true }).map(Math.fround)

export const tensorOf = (shape: Shape, min = -2, max = 2): fc.Arbitrary<Tensor> => {
  const size = shape.reduce((total, n) => total * n, 1)
  return fc.array(number(min, max), { minLength: size, maxLength: size }).map((data) => tensor(shape, data))
}
