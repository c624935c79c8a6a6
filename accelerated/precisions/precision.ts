/** A precision: what a run computes in, and what it makes of the model for it. */
import type { FloatType } from '../graph/expression.js'
import type { Wrap } from '../models/host.js'

export type Precision = {
  /** what --precision says */
  readonly name: string
  /** of what is trained, and of everything that its wrap leaves alone */
  readonly dtype: FloatType
  readonly wrap: Wrap
}
