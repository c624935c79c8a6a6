/**
 * Serialisation: expressions → the bytes of an ONNX ModelProto. Here alone nodes get names, symbolic shapes get run-time shapes, and two
 * decisions depend on the provider: whether transposed products are `FusedMatMul` (CPU, CUDA) or plain ONNX (WebGPU, which lacks it), and
 * how many parts one node may cut a vector into.
 */
import type { DType, Dimension, Expression, Shape } from './expression.js'
import { sameShape, showShape, topologicalOrder } from './expression.js'
import { lower } from './lowering.js'
import type { AttributeValue, InitializerProto, NodeProto, ValueInfoProto } from './onnxProto.js'
import { elementType, encodeModel, initializerBytes } from './onnxProto.js'

export type OnnxTarget = {
  readonly fusedMatMul: boolean
  /** parts that one Split may have, where there is a limit; a wider one becomes a Slice for each part */
  readonly largestSplit?: number
}

/** The model's bytes. Outputs appear under their keys, inputs and weights under their own names. */
export const toOnnx = (outputs: Readonly<Record<string, Expression>>, target: OnnxTarget): Uint8Array => {
  const lowered = lower(outputs)
  const order = topologicalOrder(Object.values(lowered))
  const nodes: NodeProto[] = []
  const initializers = new Map<string, InitializerProto>()
  const inputs: ValueInfoProto[] = []
  const names = new Map<Expression, string>()
  const dimensionSources = new Map<string, { readonly input: string; readonly axis: number }>()

  const emit = (
    opType: string,
    operands: ReadonlyArray<string>,
    attributes: Readonly<Record<string, AttributeValue>> = {},
    results: ReadonlyArray<string> = [fresh(opType)],
    domain = '',
  ): string => {
    nodes.push({ opType, domain, input: operands, output: results, attributes, name: `${opType}_${nodes.length}` })
    return results[0] ?? ''
  }
  /** Values that serialisation adds are numbered apart (`Expand'8`) from those of expressions (`Expand:8`): the two counts differ. */
  const fresh = (stem: string): string => `${stem}'${nodes.length}`

  const constantName = (data: ReadonlyArray<number> | Float64Array, shape: ReadonlyArray<number>, dtype: DType): string => {
    const name = data.length <= 8 ? `${dtype}[${shape}](${Array.from(data).join(',')})` : `constant:${initializers.size}`
    if (!initializers.has(name)) initializers.set(name, { name, shape, dataType: elementType(dtype), bytes: initializerBytes(data, dtype) })
    return name
  }
  const integers = (values: ReadonlyArray<number>): string => constantName(values, [values.length], 'int64')

  // -- run-time shapes: a name's size is read off the input that carries it, once
  const dimensionNames = new Map<string, string>()
  const dimension = (d: Dimension): string => {
    if (typeof d === 'number') return integers([d])
    const known = dimensionNames.get(d)
    if (known !== undefined) return known
    const name = dimensionSources.has(d)
      ? sizeOfNamed(d)
      : d.includes('+')
        ? d
            .split('+')
            .map(parse)
            .map(dimension)
            .reduce((a, b) => emit('Add', [a, b]))
        : d.includes('*')
          ? d
              .split('*')
              .map(parse)
              .map(dimension)
              .reduce((a, b) => emit('Mul', [a, b]))
          : sizeOfNamed(d)
    dimensionNames.set(d, name)
    return name
  }
  const parse = (d: string): Dimension => (/^\d+$/.test(d) ? Number(d) : d)
  const sizeOfNamed = (d: string): string => {
    const source = dimensionSources.get(d)
    if (source === undefined) throw new Error(`toOnnx: expected an input that carries dimension '${d}', found none`)
    return emit('Shape', [source.input], { start: source.axis, end: source.axis + 1 })
  }
  const runtimeShape = (shape: Shape): string =>
    shape.every((d) => typeof d === 'number') ? integers(shape as ReadonlyArray<number>) : emit('Concat', shape.map(dimension), { axis: 0 })
  /** Reshape needs no run-time shape when all but one dimension are known or stay in place (0) and the other follows (−1). */
  const reshapeTarget = (from: Shape, to: Shape): string => {
    const codes = to.map((d, i) => (typeof d === 'number' ? d : d === from[i] ? 0 : -1))
    return codes.filter((code) => code === -1).length <= 1 ? integers(codes) : runtimeShape(to)
  }

  const usedOutputs = new Map<Expression, Set<number>>()
  for (const node of order) {
    const parent = node.inputs[0]
    if (node.op === 'OutputOf' && parent !== undefined)
      usedOutputs.set(parent, (usedOutputs.get(parent) ?? new Set()).add(node.attributes.output ?? 0))
  }
  const outputNames = new Map<Expression, string>()
  for (const [name, node] of Object.entries(lowered)) if (!isLeaf(node) && !outputNames.has(node)) outputNames.set(node, name)

  for (const node of order) {
    if (node.op !== 'Input') continue
    const name = node.attributes.name ?? ''
    const twin = inputs.find((other) => other.name === name)
    if (twin !== undefined && twin.dataType === elementType(node.dtype) && sameShape(twin.shape, node.shape)) continue
    if (twin !== undefined)
      throw new Error(`toOnnx: input ${name} is declared twice, as ${showShape(twin.shape)} and as ${showShape(node.shape)}`)
    if (lowered[name] !== undefined && lowered[name] !== node) throw new Error(`toOnnx: output ${name} is an input too`)
    inputs.push({ name, dataType: elementType(node.dtype), shape: node.shape })
    node.shape.forEach((d, axis) => {
      if (typeof d === 'string' && !dimensionSources.has(d)) dimensionSources.set(d, { input: name, axis })
    })
  }

  for (const node of order) names.set(node, serialiseNode(node))

  function serialiseNode(node: Expression): string {
    const x = node.inputs.map((operand) => names.get(operand) ?? '')
    const result = outputNames.get(node) ?? `${node.op}:${names.size}`
    const to = (
      opType: string,
      operands: ReadonlyArray<string>,
      attributes: Readonly<Record<string, AttributeValue>> = {},
      domain = '',
    ): string => emit(opType, operands, attributes, [result], domain)
    const a = node.attributes
    const from = node.inputs[0]?.shape ?? []
    switch (node.op) {
      case 'Input':
        return a.name ?? ''
      case 'Constant':
        return constantName(a.data ?? [], node.shape as ReadonlyArray<number>, node.dtype)
      case 'Weight': {
        const name = a.name ?? ''
        if (a.external === undefined) throw new Error(`toOnnx: weight ${name} has no external data`)
        initializers.set(name, {
          name,
          shape: node.shape as ReadonlyArray<number>,
          dataType: elementType(node.dtype),
          external: a.external,
        })
        return name
      }
      case 'Add':
      case 'Sub':
      case 'Mul':
      case 'Div':
      case 'Neg':
      case 'Exp':
      case 'Log':
      case 'Sqrt':
      case 'Sigmoid':
      case 'Tanh':
      case 'Erf':
      case 'Less':
      case 'Equal':
      case 'Min':
      case 'Max':
      case 'Where':
        return to(node.op, x)
      case 'Clip':
        return to('Clip', [
          x[0] ?? '',
          constantName([a.minimum ?? -Infinity], [], node.dtype),
          constantName([a.maximum ?? Infinity], [], node.dtype),
        ])
      case 'MatMul':
        return serialiseMatMul(node, x, result)
      case 'Softmax':
      case 'LogSoftmax':
        return to(node.op, x, { axis: -1 })
      case 'LayerNormalization': {
        const used = usedOutputs.get(node)
        const results = used === undefined ? [result] : [result, `${result}:mean`, `${result}:inverseDeviation`]
        return emit('LayerNormalization', x, { axis: -1, epsilon: { float: a.epsilon ?? 1e-5 } }, results)
      }
      case 'OutputOf': {
        const parent = x[0] ?? ''
        const name = node.inputs[0]?.op === 'Split' ? `${parent}:${a.output}` : `${parent}:${a.output === 1 ? 'mean' : 'inverseDeviation'}`
        return outputNames.has(node) ? to('Identity', [name]) : name
      }
      case 'Split': {
        const sizes = a.sizes ?? []
        if (sizes.length > (target.largestSplit ?? Infinity)) return serialiseWideSplit(x[0] ?? '', sizes, result)
        return emit(
          'Split',
          [x[0] ?? '', integers(sizes)],
          { axis: 0 },
          sizes.map((_, i) => (i === 0 ? result : `${result}:${i}`)),
        )
      }
      case 'Gather':
        return to('Gather', x, { axis: 0 })
      case 'SelectRows':
        return to('Gather', x.slice(0, 2), { axis: 0 })
      case 'ScatterAddRows': {
        const zeros = emit('Expand', [constantName([0], [], node.dtype), runtimeShape(node.shape)])
        const index = emit('Unsqueeze', [emit('Cast', [x[1] ?? ''], { to: elementType('int64') }), integers([-1])])
        return to('ScatterND', [zeros, index, x[0] ?? ''], { reduction: 'add' })
      }
      case 'Reshape':
        return to('Reshape', [x[0] ?? '', reshapeTarget(from, node.shape)])
      case 'Transpose':
        return to('Transpose', x, { perm: a.permutation ?? [] })
      case 'Expand':
        return to('Expand', [x[0] ?? '', runtimeShape(node.shape)])
      case 'ReduceSum':
      case 'ReduceMean':
        return to(node.op, [x[0] ?? '', integers(a.axes ?? [])], { keepdims: a.keepDimensions === true ? 1 : 0 })
      case 'Concat':
        return to('Concat', x, { axis: a.axis ?? 0 })
      case 'Slice':
        return to('Slice', [
          x[0] ?? '',
          integers([a.start ?? 0]),
          integers([(a.start ?? 0) + (a.sizes?.[0] ?? 0)]),
          integers([a.axis ?? 0]),
        ])
      case 'SliceVector':
        return to('Slice', [...x, integers([0])])
      case 'CumulativeSum':
        return to('CumSum', [x[0] ?? '', constantName([a.axis ?? 0], [], 'int64')])
      case 'Size':
        return to('Reshape', [emit('Size', x), integers([1])])
      case 'Cast':
        return to('Cast', x, { to: elementType(node.dtype) })
    }
  }

  function serialiseWideSplit(x: string, sizes: ReadonlyArray<number>, result: string): string {
    let start = 0
    sizes.forEach((size, i) => {
      emit('Slice', [x, integers([start]), integers([start + size]), integers([0])], {}, [i === 0 ? result : `${result}:${i}`])
      start += size
    })
    return result
  }

  function serialiseMatMul(node: Expression, x: ReadonlyArray<string>, result: string): string {
    const { transposeA = false, transposeB = false, alpha = 1 } = node.attributes
    const [left = '', right = ''] = x
    if (!transposeA && !transposeB && alpha === 1) return emit('MatMul', [left, right], {}, [result])
    // α is an attribute, and so a float32: a float64 product is multiplied by it. As P + (α − 1) P, since ONNX Runtime fuses α P back into the attribute.
    const exact = node.dtype !== 'float64' || Math.fround(alpha) === alpha
    const scaled = (product: string): string =>
      emit('Add', [product, emit('Mul', [product, constantName([alpha - 1], [], node.dtype)])], {}, [result])
    const flags = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0, alpha: { float: exact ? alpha : 1 } }
    if (target.fusedMatMul && node.dtype === 'float32') return emit('FusedMatMul', [left, right], flags, [result], 'com.microsoft')
    if (node.shape.length === 2) return exact ? emit('Gemm', [left, right], flags, [result]) : scaled(emit('Gemm', [left, right], flags))
    const rank = node.shape.length
    const perm = Array.from({ length: rank }, (_, i) => (i === rank - 2 ? rank - 1 : i === rank - 1 ? rank - 2 : i))
    const a = transposeA ? emit('Transpose', [left], { perm }) : left
    const b = transposeB ? emit('Transpose', [right], { perm }) : right
    if (!exact) return scaled(emit('MatMul', [a, b]))
    if (alpha === 1) return emit('MatMul', [a, b], {}, [result])
    return emit('Mul', [emit('MatMul', [a, b]), constantName([alpha], [], node.dtype)], {}, [result])
  }

  const results = Object.entries(lowered).map(([name, node]): ValueInfoProto => {
    if (names.get(node) !== name) emit('Identity', [names.get(node) ?? ''], {}, [name])
    return { name, dataType: elementType(node.dtype), shape: node.shape }
  })
  return encodeModel({ nodes, initializers: [...initializers.values()], inputs, outputs: results })
}

const isLeaf = (node: Expression): boolean => node.op === 'Input' || node.op === 'Constant' || node.op === 'Weight'
