/** Matrices that a family keeps as one, such as those of queries, keys and values. The one is adapted; another family's layers read its parts. */
import type { Expression } from '../../graph/expression.js'
import { slice } from '../../graph/operators.js'
import type { Matrix, ModelSpec, TensorShape } from '../architecture.js'
import type { Host } from '../host.js'

/** By the name of the fused matrix within a layer, those of its parts, whose rows follow one another. */
export type FusedNames = Readonly<Record<string, ReadonlyArray<string>>>

type Part = { readonly fused: string; readonly start: number; readonly rows: number }

/** The parts of each fused matrix by their names. */
const partsOf = ({ matrices, layers }: ModelSpec, names: FusedNames): ReadonlyMap<string, Part> => {
  const rowsOf = new Map(matrices.map(({ name, d }) => [name, d]))
  return new Map(
    layers.flatMap(({ name: layer }) =>
      Object.entries(names).flatMap(([fused, parts]) => {
        let start = 0
        return parts.map((part): readonly [string, Part] => {
          const rows = rowsOf.get(`${layer}.${part}`) ?? 0
          start += rows
          return [`${layer}.${part}`, { fused: `${layer}.${fused}`, start: start - rows, rows }]
        })
      }),
    ),
  )
}

/** The spec with the fused matrices in place of their parts, which have no biases. */
export const fusedSpec = (spec: ModelSpec, names: FusedNames): ModelSpec => {
  const parts = partsOf(spec, names)
  const rows = new Map<string, number>()
  for (const { fused, rows: more } of parts.values()) rows.set(fused, (rows.get(fused) ?? 0) + more)
  const matrixOf = ({ name, d, k }: Matrix): ReadonlyArray<Matrix> => {
    const part = parts.get(name)
    if (part === undefined) return [{ name, d, k }]
    return part.start === 0 ? [{ name: part.fused, d: rows.get(part.fused) ?? 0, k }] : []
  }
  const matrices = spec.matrices.flatMap(matrixOf)
  const isPart = (tensor: string): boolean => parts.has(tensor.replace(/\.weight$/, ''))
  return {
    ...spec,
    matrices,
    tensors: new Map<string, TensorShape>([
      ...[...spec.tensors].filter(([name]) => !isPart(name)),
      ...matrices.filter(({ name }) => rows.has(name)).map(({ name, d, k }): [string, TensorShape] => [`${name}.weight`, [d, k]]),
    ]),
  }
}

/** A host for layers that ask for the parts: each is a slice of one product of the fused matrix. @param spec with the parts */
export const fusedHost = (host: Host, spec: ModelSpec, names: FusedNames): Host => {
  const parts = partsOf(spec, names)
  const products = new Map<string, { readonly x: Expression; readonly product: Expression }>()
  const productOf = (fused: string, x: Expression): Expression => {
    const known = products.get(fused)
    const product = known?.x === x ? known.product : host.linear(fused, x)
    products.set(fused, { x, product })
    return product
  }
  return {
    ...host,
    linear: (name, x) => {
      const part = parts.get(name)
      return part === undefined ? host.linear(name, x) : slice(productOf(part.fused, x), 1, part.start, part.rows)
    },
  }
}
