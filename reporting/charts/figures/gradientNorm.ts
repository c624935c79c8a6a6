/** The norm of the gradient of each step. */
import { curveFigure } from './curves.js'

export const gradientNorm = curveFigure({
  name: 'gradient-norm',
  title: 'Gradient norm',
  axis: () => 'gradient norm',
  curveOf: ({ steps }) => steps.gradientNorm,
  caption: 'The global norm of the gradient before clipping.',
  isNoisy: true,
})
