/** The learning rate of each step. */
import { curveFigure } from './curves.js'

export const learningRate = curveFigure({
  name: 'learning-rate',
  title: 'Learning rate',
  axis: () => 'learning rate',
  curveOf: ({ steps }) => steps.learningRate,
  caption: 'Warm-up, then the schedule.',
})
