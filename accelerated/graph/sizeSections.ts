/**
 * Sections of a large graph, in which sizes that a run sets have names of their own. ONNX Runtime keeps the memory of a freed value for the next one
 * of the same names, and its planner compares each value with all freed ones that no other took. Without names it holds the least memory, and a
 * decoder's step of 7,900 nodes takes 11 s to plan; with sections 0.7 s, and memory is kept only until a section ends.
 */
import type { Expression } from './expression.js'

/** By computed value whose shape a run sets. */
export type Sections = ReadonlyMap<Expression, number>

/** Nodes of a section: smaller ones take longer to plan, larger ones hold more memory. */
const sectionLength = 256
/** The planner needs less than a tenth of a second for a smaller graph. */
const largeGraph = 1024

const leaves = new Set(['Input', 'Constant', 'Weight'])

/** Null for a small graph: its sizes have no names. @param order its nodes in topological order */
export const sectionsOf = (order: ReadonlyArray<Expression>): Sections | null => {
  if (order.length <= largeGraph) return null
  const sections = new Map<Expression, number>()
  order.forEach((node, i) => {
    if (!leaves.has(node.op) && node.shape.some((d) => typeof d === 'string')) sections.set(node, Math.floor(i / sectionLength))
  })
  return sections
}
