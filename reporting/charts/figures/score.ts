/** The score of each evaluation. */
import { curveFigure } from './curves.js'

export const score = curveFigure({
  name: 'score',
  title: 'Evaluation score',
  axis: ({ metric }) => metric,
  curveOf: ({ scores }, { metric }) => scores.get(metric) ?? [],
  caption: 'The score of each evaluation. Until the gates close, a SaLoRA adapter may exceed its budget.',
})
