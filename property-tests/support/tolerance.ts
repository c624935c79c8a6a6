/** How far two computations of the same quantity may lie apart: one table, a reason a row. Bounds are shares of the largest |expected| of the array. */
import type { Device } from '../../accelerated/runtime/devices.js'

export type Tolerance = { readonly device: Device; readonly dtype: 'float64' | 'float32'; readonly relative: number; readonly because: string }

export const tolerances: ReadonlyArray<Tolerance> = [
  {
    device: 'cpu', dtype: 'float64', relative: 1e-9,
    because: 'rounding is 1e-16 an operation; thousands of operations and a division by small deviations leave 1e-12, wrong mathematics leaves 1e-3',
  },
  {
    device: 'cpu', dtype: 'float32', relative: 1e-4,
    because: 'rounding is 6e-8 an operation; sums of up to 3,072 products and twelve layers lose two to three digits',
  },
  {
    device: 'cuda', dtype: 'float32', relative: 1e-4,
    because: 'as the CPU: TF32, whose mantissas have ten bits, is switched off; only the order of sums differs',
  },
  {
    device: 'webgpu', dtype: 'float32', relative: 1e-3,
    because: 'WGSL lets exp, tanh, division and square roots err by several units in the last place, and multiply-adds may or may not be fused',
  },
]

/** @throws where a device has no kernels of that dtype: only the CPU provider computes in float64. */
export const toleranceOf = (device: Device, dtype: 'float64' | 'float32'): number => {
  const found = tolerances.find((row) => row.device === device && row.dtype === dtype)
  if (found === undefined) throw new Error(`toleranceOf: expected a device that computes in ${dtype}, found ${device}`)
  return found.relative
}

/** Central differences of the fourth order in float64 (finiteDifference.ts): rounding 4e-13 of the function, truncation 2e-15 of its fifth derivative. */
export const differenceTolerance = { relative: 1e-8, absolute: 1e-9 } as const

/** The same where the function passes through float32: one rounding of 6e-8, divided by the step of 5e-4. */
export const coarseDifferenceTolerance = { relative: 2e-3, absolute: 2e-3 } as const

/** Two float32 computations of one product that differ in the order of sums or in who transposes. */
export const reorderedFloat32 = 1e-6

/** A formula of a few float64 operations against the same formula in another order. */
export const sameFormulaFloat64 = 1e-13
