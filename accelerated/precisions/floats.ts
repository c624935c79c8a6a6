/** Plain floating point: everything in float32, as models are trained, or in float64, which tells wrong mathematics from rounding. */
import type { Precision } from './precision.js'

export const float32: Precision = { name: 'float32', dtype: 'float32', wrap: (host) => host }
export const float64: Precision = { name: 'float64', dtype: 'float64', wrap: (host) => host }
