/** An expression as text, one line per node, for snapshots and debugging. */
import type { Attributes, Expression } from './expression.js'
import { showShape, topologicalOrder } from './expression.js'

/** `v2: float32 [tokens, 8] = MatMul(v0, v1) {transposeB: true}` … ending with the named results. */
export const print = (outputs: Readonly<Record<string, Expression>>): string => {
  const order = topologicalOrder(Object.values(outputs))
  const names = new Map(order.map((node, i) => [node, node.attributes.name ?? `v${i}`]))
  const lines = order.map((node) => {
    const attributes = Object.entries(node.attributes)
      .filter(([key, value]) => key !== 'name' && value !== undefined && value !== false)
      .map(([key, value]) => `${key}: ${showAttribute(value)}`)
    const inputs = node.inputs.map((x) => names.get(x)).join(', ')
    return `${names.get(node)}: ${node.dtype} ${showShape(node.shape)} = ${node.op}(${inputs})${attributes.length > 0 ? ` {${attributes.join(', ')}}` : ''}`
  })
  return [...lines, ...Object.entries(outputs).map(([name, node]) => `${name} = ${names.get(node)}`)].join('\n')
}

/** Long lists are shortened to their length: the parts of a Split show their shapes on their own lines. */
const showAttribute = (value: Attributes[keyof Attributes]): string => {
  if (value instanceof Float64Array || Array.isArray(value))
    return value.length > 6 ? `${value.length} numbers` : `[${[...value].join(', ')}]`
  return typeof value === 'object' ? JSON.stringify(value) : `${value}`
}
