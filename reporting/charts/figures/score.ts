/** The task's score at each evaluation. */
import { curveFigure } from './curves.js'

export const score = curveFigure({
  name: 'score',
  title: 'Score in evaluation',
  axis: ({ score: name }) => name,
  of: ({ scores }, { score: name }) => scores.get(name) ?? [],
  caption: 'Each evaluation’s score; before the gates close it is not that of an adapter within its budget.',
})
