/** How far the accelerated path may lie from the reference: each device says so itself. Bounds are shares of the largest |reference| of a tensor. */
import type { Device } from '../../accelerated/engines/devices/device.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'

/** @throws if a device does not compute in that dtype: only the CPU provider does in float64 */
export const boundOf = (device: string, dtype: keyof Device['tolerances']): number => {
  const tolerance = deviceOf(device).tolerances[dtype]
  if (tolerance === undefined) throw new Error(`boundOf: expected a device that computes in ${dtype}, got ${device}`)
  return tolerance.relative
}
