/**
 * Arithmetic of dimensions. A dimension is a number, a name, a sum `3+sequence` (from Concat) or a product `12*batch` (from flattening). A sum inside
 * a product is in parentheses: `batch*(3+sequence)`. Terms and factors keep their order, so `a*b` and `b*a` differ. A name may contain parentheses
 * (`pool(0.1)`), whose content is not parsed.
 */
import type { Dimension, Shape } from './expression.js'

/** `3+a*b` → 3, `a*b` */
export const terms = (d: Dimension): Shape => (typeof d === 'number' ? [d] : between(d, '+').map(parse))

/** `2*a*(3+b)` → 2, `a`, `3+b`; of a sum: the sum */
export const factors = (d: Dimension): Shape => (typeof d === 'number' || terms(d).length > 1 ? [d] : between(d, '*').map(parse))

/** Splits a text at the signs outside parentheses. */
const between = (text: string, sign: string): readonly string[] => {
  const parts = ['']
  let depth = 0
  for (const letter of text) {
    depth += letter === '(' ? 1 : letter === ')' ? -1 : 0
    if (letter === sign && depth === 0) parts.push('')
    else parts.push(`${parts.pop()}${letter}`)
  }
  return parts
}

const parse = (part: string): Dimension =>
  /^\d+$/.test(part) ? Number(part) : part.startsWith('(') && part.endsWith(')') ? part.slice(1, -1) : part

/** Neighboring numbers are added: 2, `3+a` → `5+a`. */
export const sum = (dimensions: Shape): Dimension => {
  const added: Dimension[] = []
  for (const d of dimensions.flatMap(terms)) {
    const last = added.at(-1)
    if (typeof last === 'number' && typeof d === 'number') added[added.length - 1] = last + d
    else if (d !== 0) added.push(d)
  }
  return added.length > 1 ? added.join('+') : (added[0] ?? 0)
}

/** The number comes first: `batch`, 12, `3+sequence` → `12*batch*(3+sequence)`. */
export const product = (dimensions: Shape): Dimension => {
  const [factor, names] = [constantFactor(dimensions), symbolicFactors(dimensions)]
  const parts = factor === 1 && names.length > 0 ? names : [factor, ...names]
  return parts.length > 1 ? parts.map((d) => (terms(d).length > 1 ? `(${d})` : d)).join('*') : (parts[0] as Dimension)
}

/** The size of a shape is this number times its `namedFactors`. */
export const constantFactor = (shape: Shape): number =>
  shape.flatMap(factors).reduce<number>((size, d) => (typeof d === 'number' ? size * d : size), 1)
export const symbolicFactors = (shape: Shape): readonly string[] => shape.flatMap(factors).filter((d) => typeof d === 'string')

/**
 * The value of a dimension in a run in which names have these sizes.
 * @param where the caller, for the message
 */
export const resolveDimension = (
  dimension: Dimension,
  sizes: Readonly<Record<string, number>>,
  where: string = 'resolveDimension',
): number => {
  if (typeof dimension === 'number') return dimension
  if (Object.hasOwn(sizes, dimension)) return sizes[dimension] as number
  const [added, multiplied] = [terms(dimension), factors(dimension)]
  const size = (d: Dimension): number => resolveDimension(d, sizes, where)
  if (added.length > 1) return added.map(size).reduce((a, b) => a + b)
  if (multiplied.length > 1) return multiplied.map(size).reduce((a, b) => a * b)
  throw new Error(`${where}: expected a size for dimension ${dimension}, got ${Object.keys(sizes).join(', ')}`)
}
