/** Starts of LoRA from the frozen matrix itself: PiSSA, OLoRA and LoftQ, each with PEFT's numbers. EVA starts from inputs instead (finetuning/run/evaStart.ts). */
import { leadingTriplets, transpose } from '../parameters/leadingTriplets.js'
import type { CheckpointNumbers, Initial } from '../parameters/layout.js'
import type { AdaptedMatrix } from './lowRank.js'

/** W: [d, k]; rounded: W as products have it in the run's precision; scale = α / r → A [r, k], B [d, r] */
type Start = (
  W: ArrayLike<number>,
  matrix: AdaptedMatrix,
  scale: number,
  round: (W: Float32Array, shape: readonly number[]) => Float32Array,
) => Readonly<Record<'A' | 'B', Float64Array>>

/** U √(σ / s) and √(σ / s) Vᵀ: scale · B A has the largest triplets of M. */
const splitTriplets = (M: ArrayLike<number>, { d, k, r }: AdaptedMatrix, scale: number): ReturnType<Start> => {
  const { sigma, left, right } = leadingTriplets(M, [d, k], r)
  const root = (component: number): number => Math.sqrt((sigma[component] ?? NaN) / scale)
  return {
    A: right.map((x, i) => root(Math.floor(i / k)) * x),
    B: transpose(
      left.map((x, i) => root(Math.floor(i / d)) * x),
      r,
      d,
    ),
  }
}

const starts = {
  /** PiSSA (Meng et al., 2024): the principal part of W. */
  pissa: splitTriplets,
  /** OLoRA (Büyükakyüz, 2024): the first r columns of Q and rows of R in W = Q R. The scale is not divided out, as in PEFT. */
  olora: (W, { d, k, r }) => {
    const [A, B] = [new Float64Array(r * k), new Float64Array(d * r)]
    for (let i = 0; i < r; i++) {
      const q = Float64Array.from({ length: d }, (_, row) => W[row * k + i] ?? NaN)
      for (const _ of ['once', 'again'])
        for (let j = 0; j < i; j++) {
          let dot = 0
          for (let row = 0; row < d; row++) dot += B[row * r + j]! * q[row]!
          for (let row = 0; row < d; row++) q[row]! -= dot * B[row * r + j]!
        }
      const length = Math.sqrt(q.reduce((sum, x) => sum + x * x, 0))
      for (let row = 0; row < d; row++) {
        const b = length === 0 ? 0 : q[row]! / length
        B[row * r + i] = b
        for (let column = 0; column < k; column++) A[i * k + column]! += b * (W[row * k + column] ?? NaN)
      }
    }
    return { A, B }
  },
  /** LoftQ (Li et al., 2023) after its first iteration, PEFT's default: the principal part of what quantization takes from W. */
  loftq: (W, matrix, scale, round) => {
    const rounded = round(Float32Array.from(W), [matrix.d, matrix.k])
    const lost = Float64Array.from(W, (w, i) => w - (rounded[i] ?? NaN))
    return splitTriplets(lost, matrix, scale)
  },
} as const satisfies Readonly<Record<string, Start>>

export type DataDrivenStart = keyof typeof starts
export const isDataDriven = (name: string): name is DataDrivenStart => Object.hasOwn(starts, name)

/** Whether the frozen matrix loses the start, so that the model begins as it is although B is not 0. */
export const leavesResidual = (name: string): boolean => name === 'pissa' || name === 'olora'

/** Initial numbers of A and B of one matrix, which are computed together, once. */
export const factorStarts = (
  name: DataDrivenStart,
  matrix: AdaptedMatrix,
  scale: number,
  round: (W: Float32Array, shape: readonly number[]) => Float32Array,
): ((factor: 'A' | 'B') => Initial) => {
  let factors: Promise<ReturnType<Start>> | undefined
  const compute = async (checkpoint: CheckpointNumbers): Promise<ReturnType<Start>> => {
    const W = await checkpoint(`${matrix.name}.weight`, [matrix.d, matrix.k])
    if (W === undefined) throw new Error(`factorStarts: expected ${matrix.name}.weight in the checkpoint, got none`)
    return starts[name](W, matrix, scale, round)
  }
  return (factor) => ({
    fromCheckpoint: async (_, checkpoint) => {
      factors ??= compute(checkpoint)
      return (await factors)[factor]
    },
    draw: () => {
      throw new Error(`factorStarts: expected a checkpoint for ${name}, got none`)
    },
  })
}
