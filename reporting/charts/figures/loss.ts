/** The task loss of each training step, which every method has. */
import { curveFigure } from './curves.js'

export const loss = curveFigure({
  name: 'loss',
  title: 'Training loss',
  axis: () => 'task loss',
  curveOf: ({ steps }) => steps.taskLoss,
  caption: "The task loss of each batch, without the method's regularization terms.",
  isNoisy: true,
})
