/** Seeded random tensors as fp-ts States: a draw returns the numbers and the next seed. */
import type { State } from 'fp-ts/lib/State.js'
import { elementCount, type Shape } from '../tensor/shape.js'
import { generate, type Tensor } from '../tensor/tensor.js'

/** An integer from 0 to 2³² − 1: the position in the sequence of draws. */
export type Seed = number

// A Weyl sequence (steps of 2³² / golden ratio, odd) hashed by MurmurHash3's 32-bit finalizer (Appleby, 2011).
const weylStep = 0x9e3779b9

const advance = (seed: Seed, draws: number): Seed => (seed + Math.imul(weylStep, draws)) >>> 0

const hash = (x: number): number => {
  const a = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  const b = Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return (b ^ (b >>> 16)) >>> 0
}

/** The n-th number after `seed`, from two hashes of 26 bits each; the half keeps it inside the open interval (0, 1). */
const drawUniform = (seed: Seed, n: number): number => {
  const high = hash(advance(seed, 2 * n + 1)) >>> 6
  const low = hash(advance(seed, 2 * n + 2)) >>> 6
  return (high * 2 ** 26 + low + 0.5) / 2 ** 52
}

/** Independent draws from the open interval (low, high). */
export const uniform =
  (shape: Shape, low = 0, high = 1): State<Seed, Tensor> =>
  (seed) => [generate(shape, (i) => low + (high - low) * drawUniform(seed, i)), advance(seed, 2 * elementCount(shape))]

/** Independent draws from N(0, deviation²), by Box and Muller's transform. */
export const normal =
  (shape: Shape, deviation = 1): State<Seed, Tensor> =>
  (seed) => [
    generate(
      shape,
      (i) => deviation * Math.sqrt(-2 * Math.log(drawUniform(seed, 2 * i))) * Math.cos(2 * Math.PI * drawUniform(seed, 2 * i + 1)),
    ),
    advance(seed, 4 * elementCount(shape)),
  ]
