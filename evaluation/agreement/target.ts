/** The device and precision of the accelerated path, and the bound of its difference from the reference. */
import type { FloatType } from '../../accelerated/graph/expression.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import type { Device } from '../../accelerated/engines/devices/device.js'

/** The device and precision of the accelerated path. */
export type Target = { readonly device: string; readonly precision: string }

/** How far the accelerated path may lie from the reference there. */
export const boundIn = ({ device, precision }: Target): number => {
  const { dtype, exactAs = dtype } = precisionOf(precision)
  return boundOf(device, exactAs)
}

export const dtypeOf = ({ precision }: Pick<Target, 'precision'>): FloatType => precisionOf(precision).dtype

/** Tiny graphs: more threads would only wait for each other. */
export const runtimeOf = ({ device }: Target) => ({ engine: deviceOf(device).engine({ threads: 1 }), weights: noWeights })

// How far the accelerated path may lie from the reference: each device says so itself. Bounds are shares of the largest |reference| of a tensor.
/** @throws if a device does not compute in that dtype: only the CPU provider does in float64 */
export const boundOf = (device: string, dtype: keyof Device['tolerances']): number => {
  const tolerance = deviceOf(device).tolerances[dtype]
  if (tolerance === undefined) throw new Error(`boundOf: expected a device that computes in ${dtype}, got ${device}`)
  return tolerance.relative
}
