/** The contract of every metric: as many predictions as labels, at least one, all finite. */

/** Throws unless it holds; `metric` names the caller. A prediction that is not a number must not pass for a wrong one. */
export const assertAligned = (metric: string, predictions: ReadonlyArray<number>, labels: ReadonlyArray<number>): void => {
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
