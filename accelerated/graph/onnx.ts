/**
 * Serialization: expressions → the bytes of an ONNX ModelProto. This file orders the nodes and names the values. onnxOperators.ts writes the nodes,
 * onnxShapes.ts their sizes, onnxProto.ts the bytes.
 */
import type { Outputs, Expression, Shape } from './expression.js'
import { sameShape, showShape, topologicalOrder } from './expression.js'
import { loweredOnce } from './lowering.js'
import type { OnnxTarget } from './onnxBuilder.js'
import { onnxBuilder } from './onnxBuilder.js'
import { emitNodes } from './onnxOperators.js'
import type { ModelParts, ValueInfoProto } from './onnxProto.js'
import { elementType, encodeModel } from './onnxProto.js'
import { runtimeShapes } from './onnxShapes.js'

export type { OnnxTarget } from './onnxBuilder.js'

/**
 * The model's bytes. Outputs appear under their keys, inputs and weights under their own names.
 * @param emptySequence the name of an additional first output: an empty sequence of tensors
 */
export const toOnnx = (outputs: Outputs, target: OnnxTarget, emptySequence?: string): Uint8Array =>
  encodeModel(onnxParts(outputs, target, emptySequence))

/** The same model before it is encoded. */
export const onnxParts = (outputs: Outputs, target: OnnxTarget, emptySequence?: string): ModelParts => {
  const lowered = loweredOnce(outputs, target)
  const order = topologicalOrder(Object.values(lowered))
  const inputs = collectInputs(order, lowered)
  const builder = onnxBuilder(target)
  const shapes = runtimeShapes(builder, inputs)

  const outputNames = firstNames(lowered)
  const names = new Map<Expression, string>()
  emitNodes(order, names, (node) => outputNames.get(node) ?? `${node.op}:${names.size}`, builder, shapes)
  for (const [name, node] of Object.entries(lowered))
    if (names.get(node) !== name) builder.emit('Identity', [names.get(node) ?? ''], {}, [name])
  if (emptySequence !== undefined) builder.emit('SequenceEmpty', [], {}, [emptySequence])
  const isHidden = target.unknownShapes === true
  const declared = isHidden ? withoutRunSizes : (info: Declared): ValueInfoProto => info
  // The runtime does not see that a recomputed value has a known shape. It would fuse what follows differently from the original, and round differently.
  const recomputed = isHidden ? [] : order.filter(({ op }) => op === 'ControlDependency')
  return {
    nodes: builder.nodes,
    initializers: [...builder.initializers.values()],
    inputs: [...inputs.map(declared), ...builder.hiddenSizes.values()],
    values: recomputed.map((node) => valueInfo(names.get(node) ?? '', node)),
    outputs: [
      ...(emptySequence === undefined ? [] : [{ name: emptySequence, sequenceOf: elementType('float32') }]),
      ...Object.entries(lowered).map(([name, node]) => declared(valueInfo(name, node))),
    ],
  }
}

type Declared = ValueInfoProto & { readonly shape: Shape }

const valueInfo = (name: string, { dtype, shape }: Expression): Declared => ({ name, dataType: elementType(dtype), shape })

/** No shape if a run sets one of its sizes. */
const withoutRunSizes = (info: Declared): ValueInfoProto =>
  info.shape.every((d) => typeof d === 'number') ? info : { ...info, shape: null }

/** Each input once, even if several expressions declare it. */
const collectInputs = (order: readonly Expression[], outputs: Outputs): readonly Declared[] => {
  const inputs = new Map<string, Declared>()
  for (const node of order) {
    if (node.op !== 'Input') continue
    const declared = valueInfo(node.attributes.name ?? '', node)
    const { name, shape, dataType } = declared
    const twin = inputs.get(name)
    if (twin !== undefined && (twin.dataType !== dataType || !sameShape(twin.shape, shape)))
      throw new Error(`toOnnx: input ${name} is declared twice, as ${showShape(twin.shape)} and as ${showShape(shape)}`)
    if (twin !== undefined) continue
    if (outputs[name] !== undefined && outputs[name] !== node) throw new Error(`toOnnx: output ${name} is an input too`)
    inputs.set(name, declared)
  }
  return [...inputs.values()]
}

/** A computed value gets the first of its output names; leaves have their own. */
const firstNames = (outputs: Outputs): ReadonlyMap<Expression, string> =>
  new Map(
    Object.entries(outputs)
      .filter(([, { op }]) => op !== 'Input' && op !== 'Constant' && op !== 'Weight')
      .reverse()
      .map(([name, node]) => [node, name]),
  )
