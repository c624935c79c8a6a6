/**
 * Serialization: expressions → the bytes of an ONNX ModelProto. This file orders the nodes and names the values. onnxOperators.ts writes the nodes,
 * onnxShapes.ts their sizes, onnxProto.ts the bytes.
 */
import type { Expression, Shape } from './expression.js'
import { sameShape, showShape, topologicalOrder } from './expression.js'
import { loweredOnce } from './lowering.js'
import type { OnnxTarget } from './onnxBuilder.js'
import { onnxBuilder } from './onnxBuilder.js'
import { emitNodes } from './onnxOperators.js'
import type { ValueInfoProto } from './onnxProto.js'
import { elementType, encodeModel } from './onnxProto.js'
import { runtimeShapes } from './onnxShapes.js'
import { sectionsOf, type Sections } from './sizeSections.js'

export type { OnnxTarget } from './onnxBuilder.js'

type Outputs = Readonly<Record<string, Expression>>

/**
 * The model's bytes. Outputs appear under their keys, inputs and weights under their own names.
 * @param emptySequence the name of an additional first output: an empty sequence of tensors
 */
export const toOnnx = (outputs: Outputs, target: OnnxTarget, emptySequence?: string): Uint8Array => {
  const lowered = loweredOnce(outputs, target)
  const order = topologicalOrder(Object.values(lowered))
  const inputs = inputsOf(order, lowered)
  const builder = onnxBuilder(target)
  const shapes = runtimeShapes(builder, inputs)

  const outputNames = firstNames(lowered)
  const names = new Map<Expression, string>()
  emitNodes(order, names, (node) => outputNames.get(node) ?? `${node.op}:${names.size}`, builder, shapes)
  for (const [name, node] of Object.entries(lowered))
    if (names.get(node) !== name) builder.emit('Identity', [names.get(node) ?? ''], {}, [name])
  if (emptySequence !== undefined) builder.emit('SequenceEmpty', [], {}, [emptySequence])
  const declared = target.namelessSizes === true ? withoutNames : (info: ValueInfoProto) => info
  const sections = target.namelessSizes === true ? sectionsOf(order) : null
  // Without these shapes the runtime fuses recomputed nodes differently from the originals, which changes their rounding.
  const recomputed = order.filter(({ op }) => op === 'ControlDependency')
  return encodeModel({
    nodes: builder.nodes,
    initializers: [...builder.initializers.values()],
    inputs: inputs.map(declared),
    values:
      sections === null
        ? recomputed.map((node) => declared(valueInfo(names.get(node) ?? '', node)))
        : namedBySection(order, names, sections, new Set(Object.keys(lowered))),
    outputs: [
      ...(emptySequence === undefined ? [] : [{ name: emptySequence, sequenceOf: elementType('float32') }]),
      ...Object.entries(lowered).map(([name, node]) => declared(valueInfo(name, node))),
    ],
  })
}

type Declared = ValueInfoProto & { readonly shape: Shape }

const valueInfo = (name: string, { dtype, shape }: Expression): Declared => ({ name, dataType: elementType(dtype), shape })

const withoutNames = (info: ValueInfoProto): ValueInfoProto => ({
  ...info,
  shape: info.shape.map((d) => (typeof d === 'number' ? d : null)),
})

/** Every computed value with sizes that a run sets, under the names of its section. Outputs are declared apart. */
const namedBySection = (
  order: ReadonlyArray<Expression>,
  names: ReadonlyMap<Expression, string>,
  sections: Sections,
  outputs: ReadonlySet<string>,
): ReadonlyArray<ValueInfoProto> => {
  const values = new Map<string, ValueInfoProto>()
  for (const node of order) {
    const [name, section] = [names.get(node) ?? '', sections.get(node)]
    if (section === undefined || values.has(name) || outputs.has(name)) continue
    const shape = node.shape.map((d) => (typeof d === 'number' ? d : `${d}@${section}`))
    values.set(name, { ...valueInfo(name, node), shape })
  }
  return [...values.values()]
}

/** Each input once, even if several expressions declare it. */
const inputsOf = (order: ReadonlyArray<Expression>, outputs: Outputs): ReadonlyArray<Declared> => {
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
