/** Groups of values. */

/** Groups values by a key, in the order of the first value of each group. */
export const groupBy = <T>(values: Iterable<T>, keyOf: (value: T) => string): ReadonlyMap<string, ReadonlyArray<T>> => {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group === undefined) groups.set(keyOf(value), [value])
    else group.push(value)
  }
  return groups
}
