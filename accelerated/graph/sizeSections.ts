/**
 * Sections of a large graph. Sizes that a run sets have names of their own in each section. ONNX Runtime keeps the memory of a freed value for the
 * next value of the same names. Its planner compares each value with all freed ones whose memory no other took. Without names, a run holds the least
 * memory, but a decoder's step of 7,900 nodes took 11 s to plan. With sections it took 0.5 s, and memory is kept until a section ends.
 */
import type { Expression } from './expression.js'

/** By computed value whose shape a run sets. */
export type Sections = ReadonlyMap<Expression, number>

/** Nodes of a section. Smaller ones take longer to plan, larger ones hold more memory, which only gradient checkpointing has to spare. */
const sectionLength = { kept: 512, recomputed: 128 }
/**
 * A smaller graph has none: steps of RoBERTa-base (3,300 nodes) take 3 % longer with sections, since a value then takes memory that left the cache.
 * A decoder's take 4 % longer, but wait 3 s for their session instead of 16 s.
 */
const largeGraph = 4096

const leaves = new Set(['Input', 'Constant', 'Weight'])

/** Null for a small graph: its sizes have no names. @param order its nodes in topological order */
export const sectionsOf = (order: ReadonlyArray<Expression>): Sections | null => {
  if (order.length <= largeGraph) return null
  const length = order.some(({ op }) => op === 'ControlDependency') ? sectionLength.recomputed : sectionLength.kept
  const sections = new Map<Expression, number>()
  order.forEach((node, i) => {
    if (!leaves.has(node.op) && node.shape.some((d) => typeof d === 'string')) sections.set(node, Math.floor(i / length))
  })
  return sections
}
