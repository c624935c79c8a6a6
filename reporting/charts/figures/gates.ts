/** Figure 6: expected density, the Lagrange multiplier λ, and how far the factors are from orthogonal, over steps. */
import { curveFigure } from './curves.js'

export const density = curveFigure({
  name: 'figure6-density',
  title: 'Expected density (Figure 6)',
  axis: () => 'expected density',
  curveOf: ({ steps }) => steps.density,
  caption: 'The expected share of parameters behind open gates, until the gates close.',
})

export const lambda = curveFigure({
  name: 'figure6-lambda',
  title: 'Lagrange multiplier λ (Figure 6)',
  axis: () => 'λ',
  curveOf: ({ steps }) => steps.lambda,
  caption: 'The axis is linear up to ±1 and logarithmic beyond. Ticks are at zero and at powers of ten.',
  logarithmic: true,
})

export const orthogonalityOfA = curveFigure({
  name: 'figure6-orthogonality-A',
  title: 'Orthogonality of A (Figure 6)',
  axis: () => '‖AAᵀ − I‖²',
  curveOf: ({ steps }) => steps.orthogonalityA,
  caption: 'Sum over the matrices that have an adapter at the step.',
})

export const orthogonalityOfB = curveFigure({
  name: 'figure6-orthogonality-B',
  title: 'Orthogonality of B (Figure 6)',
  axis: () => '‖BᵀB − I‖²',
  curveOf: ({ steps }) => steps.orthogonalityB,
  caption: 'Sum over the matrices that have an adapter at the step.',
})

/** AdaLoRA records one number for both factors. */
export const orthogonality = curveFigure({
  name: 'orthogonality',
  title: 'Orthogonality of the factors',
  axis: () => 'distance from orthogonality',
  curveOf: ({ steps }) => (steps.orthogonalityA.length > 0 ? [] : steps.orthogonality),
  caption: "SaLoRA: ‖AAᵀ − I‖² + ‖BᵀB − I‖², summed over the matrices. AdaLoRA: mean of the matrices' norms.",
})
