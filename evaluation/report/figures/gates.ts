/** Figure 6: density, the multiplier λ, and how far the factors are from orthogonal, over steps. */
import { curveFigure } from './curves.js'

export const density = curveFigure({
  name: 'figure6-density',
  title: 'Density (Figure 6)',
  axis: () => 'density',
  of: ({ steps }) => steps.density,
  caption: 'The expected share of parameters behind open gates, while there are gates.',
})

export const lambda = curveFigure({
  name: 'figure6-lambda',
  title: 'Lagrange multiplier λ (Figure 6)',
  axis: () => 'λ',
  of: ({ steps }) => steps.lambda,
  caption: 'Zero and powers of ten are marked: the axis is linear near zero and logarithmic beyond one.',
  logarithmic: true,
})

export const orthogonality = curveFigure({
  name: 'figure6-orthogonality',
  title: 'Orthogonality of the factors (Figure 6)',
  axis: () => '‖AAᵀ − I‖² + ‖BᵀB − I‖²',
  of: ({ steps }) => steps.orthogonality,
  caption: 'The paper draws the two norms apart; a run records their sum over all matrices, and so does this figure.',
})
