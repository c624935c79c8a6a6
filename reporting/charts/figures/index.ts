/** The figures of a report and of the board, in the order of the page. Each file holds one figure, or what two figures share. */
import type { Figure } from '../figure.js'
import { agreement } from './agreement.js'
import { byDensity } from './byDensity.js'
import { byRank } from './byRank.js'
import { density, lambda, orthogonality, orthogonalityOfA, orthogonalityOfB } from './gates.js'
import { evaluationLoss } from './evaluationLoss.js'
import { gradientNorm } from './gradientNorm.js'
import { learningRate } from './learningRate.js'
import { loss } from './loss.js'
import { ranks } from './ranks.js'
import { score } from './score.js'

export const figures: ReadonlyArray<Figure> = [
  score,
  ranks,
  loss,
  evaluationLoss,
  byRank,
  byDensity,
  density,
  lambda,
  learningRate,
  gradientNorm,
  orthogonalityOfA,
  orthogonalityOfB,
  orthogonality,
  agreement,
]
