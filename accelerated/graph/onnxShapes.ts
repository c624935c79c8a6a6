/** Run-time shapes: the sizes that an ONNX node needs as a tensor because each run sets them. */
import { factors, terms } from './dimension.js'
import type { Dimension, Shape } from './expression.js'
import type { OnnxBuilder } from './onnxBuilder.js'

export type RuntimeShapes = {
  /** The name of an int64 vector of this shape's sizes. */
  readonly shape: (shape: Shape) => string
  /** The same in the form that Reshape takes. */
  readonly reshape: (from: Shape, to: Shape) => string
  /** The name of a shape [−1] that the runtime does not know before a run. Null: no input has a size with a name. */
  readonly allOfIt: () => string | null
}

/** The size of a name is read from the first input that has it, once. */
export const runtimeShapes = (
  { emit, share, integers, sizes }: OnnxBuilder,
  inputs: readonly { readonly name: string; readonly shape: Shape }[],
): RuntimeShapes => {
  const sources = new Map<string, { readonly input: string; readonly axis: number }>()
  for (const { name, shape } of inputs)
    shape.forEach((d, axis) => {
      if (typeof d === 'string' && !sources.has(d)) sources.set(d, { input: name, axis })
    })

  const written = new Map<string, string>()
  const dimension = (d: Dimension): string => {
    if (typeof d === 'number') return integers([d])
    const name = written.get(d) ?? newDimension(d)
    written.set(d, name)
    return name
  }
  const newDimension = (d: string): string => {
    const source = sources.get(d)
    if (source !== undefined) return emit('Shape', [source.input], { start: source.axis, end: source.axis + 1 })
    const [added, multiplied] = [terms(d), factors(d)]
    if (added.length > 1) return added.map(dimension).reduce((a, b) => emit('Add', [a, b]))
    if (multiplied.length > 1) return multiplied.map(dimension).reduce((a, b) => emit('Mul', [a, b]))
    throw new Error(`toOnnx: expected an input that carries dimension '${d}', got none`)
  }
  const shape = (dimensions: Shape): string =>
    dimensions.every((d) => typeof d === 'number') ? integers(dimensions) : share('Concat', dimensions.map(dimension), { axis: 0 })
  return {
    shape,
    /** Needs no run-time shape if all dimensions but one are known or keep their place (0): the last one follows (−1). */
    reshape: (from, to) => {
      const codes = to.map((d, i) => (typeof d === 'number' ? d : d === from[i] ? 0 : -1))
      return codes.filter((code) => code === -1).length <= 1 ? sizes(codes) : shape(to)
    },
    allOfIt: () => {
      const [name] = sources.keys()
      return name === undefined ? null : share('Sub', [share('Mul', [dimension(name), integers([0])]), integers([1])])
    },
  }
}
