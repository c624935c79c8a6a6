/** An expected value whose numbers may differ by the rounding of float32: graphs with fed and with constant adapters round differently. */
import { expect } from 'vitest'

export const nearly = (value: unknown): unknown => {
  if (typeof value === 'number') return expect.closeTo(value, 5)
  if (Array.isArray(value)) return value.map(nearly)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, nearly(part)]))
}
