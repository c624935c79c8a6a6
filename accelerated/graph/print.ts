/** An expression as text, one line a node: for snapshots and for debugging. */
import type { Expression } from './expression.js'
import { showShape, topologicalOrder } from './expression.js'

/** `v2: float32 [tokens, 8] = MatMul(v0, v1) {transposeB: true}` … ending with the named results. */
export const print = (outputs: Readonly<Record<string, Expression>>): string => {
  const order = topologicalOrder(Object.values(outputs))
  const names = new Map(order.map((node, i) => [node, node.attributes.name ?? `v${i}`]))
  const lines = order.map((node) => {
    const attributes = Object.entries(node.attributes)
      .filter(([key, value]) => key !== 'name' && value !== undefined && value !== false)
      .map(
        ([key, value]) =>
          `${key}: ${value instanceof Float64Array ? `${value.length > 6 ? `${value.length} numbers` : `[${[...value]}]`}` : JSON.stringify(value)}`,
      )
    const inputs = node.inputs.map((x) => names.get(x)).join(', ')
    return `${names.get(node)}: ${node.dtype} ${showShape(node.shape)} = ${node.op}(${inputs})${attributes.length > 0 ? ` {${attributes.join(', ')}}` : ''}`
  })
  return [...lines, ...Object.entries(outputs).map(([name, node]) => `${name} = ${names.get(node)}`)].join('\n')
}
