/** The figures of a report, in the order of the page: one line each. */
import type { Figure } from '../figure.js'
import { agreement } from './agreement.js'
import { byDensity } from './byDensity.js'
import { byRank } from './byRank.js'
import { density, lambda, orthogonality, orthogonalityOfA, orthogonalityOfB } from './gates.js'
import { loss } from './loss.js'
import { ranks } from './ranks.js'
import { score } from './score.js'

export const figures: ReadonlyArray<Figure> = [
  score,
  loss,
  byRank,
  byDensity,
  density,
  lambda,
  orthogonalityOfA,
  orthogonalityOfB,
  orthogonality,
  ranks,
  agreement,
]
