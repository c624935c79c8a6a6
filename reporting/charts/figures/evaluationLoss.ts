/** The loss of each evaluation, where the task has one beside its score. */
import { curveFigure } from './curves.js'

export const evaluationLoss = curveFigure({
  name: 'evaluation-loss',
  title: 'Evaluation loss',
  axis: () => 'loss',
  curveOf: ({ scores }, { metric }) => (metric === 'loss' ? [] : (scores.get('loss') ?? [])),
  caption: 'The loss on the evaluation examples. It rises again where a run overfits.',
})
