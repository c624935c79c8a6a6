/** The task's loss in training, which all methods have. */
import { curveFigure } from './curves.js'

export const loss = curveFigure({
  name: 'loss',
  title: 'Loss in training',
  axis: () => 'task loss',
  of: ({ steps }) => steps.taskLoss,
  caption: 'The task’s loss of each batch, without what the method adds to it.',
})
