/** Smooths a noisy line, as TensorBoard does: an exponential moving average without the bias of its start. */

/**
 * sₜ = w sₜ₋₁ + (1 − w) yₜ, divided by 1 − wᵗ.
 * @param weight of the past: 0 leaves the values as they are; below 1
 */
export const smoothed = (values: ReadonlyArray<number>, weight: number): ReadonlyArray<number> => {
  let [sum, share] = [0, 0]
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value
    share = weight * share + (1 - weight)
    return sum / share
  })
}
