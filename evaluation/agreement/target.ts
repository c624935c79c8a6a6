/** The device and precision of the accelerated path, and the bound of its difference from the reference. */
import type { FloatType } from '../../accelerated/graph/expression.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { boundOf } from './bounds.js'

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
