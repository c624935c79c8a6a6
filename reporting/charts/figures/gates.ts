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

export const orthogonalityOfA = curveFigure({
  name: 'figure6-orthogonality-A',
  title: 'Orthogonality of A (Figure 6)',
  axis: () => '‖AAᵀ − I‖²',
  of: ({ steps }) => steps.orthogonalityA,
  caption: 'Summed over the matrices that have an adapter at that step.',
})

export const orthogonalityOfB = curveFigure({
  name: 'figure6-orthogonality-B',
  title: 'Orthogonality of B (Figure 6)',
  axis: () => '‖BᵀB − I‖²',
  of: ({ steps }) => steps.orthogonalityB,
  caption: 'Summed over the matrices that have an adapter at that step.',
})

/** What AdaLoRA records, and SaLoRA did before it had the two apart. */
export const orthogonality = curveFigure({
  name: 'orthogonality',
  title: 'Orthogonality of the factors',
  axis: () => 'distance from orthogonal',
  of: ({ steps }) => (steps.orthogonalityA.length > 0 ? [] : steps.orthogonality),
  caption: 'Of SaLoRA ‖AAᵀ − I‖² + ‖BᵀB − I‖² summed over the matrices, of AdaLoRA the mean of its matrices’ norms.',
})
