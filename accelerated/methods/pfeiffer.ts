/** Pfeiffer et al. (2020): an adapter after the feed-forward block. y = norm(h + a(norm(h + x)) + x), x is its input: the frozen norm acts twice. */
import { add, relu } from '../graph/operators.js'
import { bottleneckMethod } from './bottleneck.js'

/** The adapters library's SeqBnConfig. */
export const pfeiffer = bottleneckMethod({
  name: 'pfeiffer',
  summary: 'a bottleneck after the feed-forward',
  after: ['feedForward'],
  activation: relu,
  output: (a, h, { residual, norm }) => add(h, a(norm(add(h, residual)))),
})
