/** How far the accelerated path may lie from the reference: one table, a reason a row. Bounds are shares of the largest |reference| of a tensor. */
import type { Device } from '../../accelerated/runtime/devices.js'
import type { Scalar } from '../../accelerated/training/trainingStep.js'

export type Bound = { readonly device: Device; readonly dtype: Scalar; readonly relative: number; readonly because: string }

export const bounds: ReadonlyArray<Bound> = [
  {
    device: 'cpu',
    dtype: 'float64',
    relative: 1e-9,
    because:
      'rounding is 1e-16 an operation; thousands of operations and divisions by small deviations leave 1e-12, a wrong formula leaves 1e-3 or more',
  },
  {
    device: 'cpu',
    dtype: 'float32',
    relative: 1e-4,
    because:
      'rounding is 6e-8 an operation; layer norms over few values and AdamW, which divides small gradients by their own size, lose two to three digits',
  },
  {
    device: 'cuda',
    dtype: 'float32',
    relative: 1e-4,
    because: 'as the CPU: TF32, whose mantissas have ten bits, is switched off, and only the order of sums differs',
  },
  {
    device: 'webgpu',
    dtype: 'float32',
    relative: 1e-3,
    because:
      'WGSL lets exp, tanh, division and square roots err by several units in the last place, and multiply-adds may or may not be fused',
  },
]

/** @throws where a device does not compute in that dtype: only the CPU provider does in float64 */
export const boundOf = (device: Device, dtype: Scalar): number => {
  const found = bounds.find((row) => row.device === device && row.dtype === dtype)
  if (found === undefined) throw new Error(`boundOf: expected a device that computes in ${dtype}, found ${device}`)
  return found.relative
}
