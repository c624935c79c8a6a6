/** All precisions, one line each. What a precision does with the weights and products of a model belongs here; operators belong in graph/. */
import { float32, float64 } from './floats.js'
import { int4 } from './int4/int4.js'
import { int8 } from './int8/int8.js'
import { mixed } from './mixed.js'
import type { Precision } from './precision.js'

export const precisions: readonly Precision[] = [float32, float64, int8, int4, mixed]
