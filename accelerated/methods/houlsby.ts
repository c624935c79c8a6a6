/** Houlsby et al. (2019): an adapter after attention and one after the feed-forward block. y = norm(h + a(h) + x), x is the sublayer's input. */
import { add, mul, sigmoid } from '../graph/operators.js'
import { bottleneckMethod } from './bottleneck.js'

/** The adapters library's DoubleSeqBnConfig. */
export const houlsby = bottleneckMethod({
  name: 'houlsby',
  summary: 'a bottleneck after attention and one after the feed-forward',
  after: ['attention', 'feedForward'],
  activation: (x) => mul(x, sigmoid(x)), // SiLU
  output: (a, h) => add(h, a(h)),
})
