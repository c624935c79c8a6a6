/** Suffix order: n-grams sorted by their last word, then the one before it, and so on. N-grams with the same ending are neighbors. */

/**
 * One pass of a radix sort: `places` in the order of keys[place · scale + offset]. The sort is stable. Keys are below `bound`.
 */
export const sortedByKey = (places: Uint32Array, keys: Uint32Array, scale: number, offset: number, bound: number): Uint32Array => {
  const next = new Uint32Array(bound + 1)
  for (let i = 0; i < places.length; i++) {
    const key = keys[(places[i] as number) * scale + offset] as number
    next[key + 1] = (next[key + 1] as number) + 1
  }
  for (let key = 1; key <= bound; key++) next[key] = (next[key] as number) + (next[key - 1] as number)
  const sorted = new Uint32Array(places.length)
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number
    const key = keys[place * scale + offset] as number
    const to = next[key] as number
    sorted[to] = place
    next[key] = to + 1
  }
  return sorted
}
