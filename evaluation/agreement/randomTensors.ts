/** Random tensors of small models by seed and name: no term symmetric or zero, and all of it exact in float32. */
import { map, normal, uniform, type Shape, type Tensor, type Tensors } from '../../reference/index.js'

export const hash = (text: string): number => [...text].reduce((total, letter) => (Math.imul(total, 31) + letter.charCodeAt(0)) >>> 0, 7)
const rounded = map(Math.fround)

export const normals = (shape: Shape, deviation: number, seed: number, name: string): Tensor =>
  rounded(normal(shape, deviation)((seed + hash(name)) >>> 0)[0])

export const integers = (count: number, below: number, seed: number, name: string): ReadonlyArray<number> =>
  [...uniform([count], 0, below)((seed + hash(name)) >>> 0)[0].data].map(Math.floor)

/** The deviation of a tensor: 1 / √inputs for matrices, so that activations are about 1 and no softmax saturates; else 0.5. */
const deviationOf = (name: string, [, inputs]: Shape): number =>
  inputs === undefined || name.startsWith('embed') ? 0.5 : 1 / Math.sqrt(inputs)

/** Independent tensors by name: weights of norms around 1, everything else around 0. */
export const tensors = (shapes: Readonly<Record<string, Shape>>, seed: number): Tensors =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const values = normals(shape, deviationOf(name, shape), seed, name)
      return [name, /norm\.weight$/i.test(name) ? rounded(map((x) => 1 + x / 2)(values)) : values]
    }),
  )
