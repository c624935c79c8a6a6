/** Tolerances of the tests beside evaluation/agreement/target.ts, which has the bounds of devices against the reference, each with its reason. */

/** Central differences of the fourth order in float64 (finiteDifference.ts): rounding 4e-13 of the function, truncation 2e-15 of its fifth derivative. */
export const differenceTolerance = { relative: 1e-8, absolute: 1e-9 } as const

/** The same for a function that rounds to float32: one rounding of 6e-8, divided by the step of 5e-4. */
export const coarseDifferenceTolerance = { relative: 2e-3, absolute: 2e-3 } as const

/** Two float32 computations of one product that differ in the order of sums or in who transposes. */
export const reorderedFloat32 = 1e-6

/** A formula of a few float64 operations against the same formula in another order. */
export const sameFormulaFloat64 = 1e-13
