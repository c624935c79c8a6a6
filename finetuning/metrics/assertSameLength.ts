/** The precondition of every metric: as many predictions as labels, at least one, all finite. */

/** @param metric the caller's name. @throws Error if the precondition does not hold: NaN must not count as a wrong prediction */
export const assertSameLength = (metric: string, predictions: ReadonlyArray<number>, labels: ReadonlyArray<number>): void => {
  if (predictions.length !== labels.length || labels.length === 0) {
    throw new Error(`${metric}: expected as many predictions as labels and at least one, got ${predictions.length} and ${labels.length}`)
  }
  assertFinite(metric, 'prediction', predictions)
  assertFinite(metric, 'label', labels)
}

const assertFinite = (metric: string, role: string, values: ReadonlyArray<number>): void => {
  const index = values.findIndex((value) => !Number.isFinite(value))
  if (index >= 0) throw new Error(`${metric}: expected finite numbers, got ${role} ${index} = ${values[index]}`)
}
