/** The step graph that an estimate of memory counted: the session that opens it next need not build it again. */
import type { Assembly } from './assembly.js'
import { stepGraph, type Accumulation, type StepGraph } from './stepGraph.js'

type Counted = { readonly assembly: Assembly; readonly phase: string; readonly graphs: Map<Accumulation, StepGraph> }

/** By objective, which is made for one run: its first phase that was counted, until a session opens. */
const counted = new WeakMap<Assembly['objective'], Counted>()

const sameParts = (a: Assembly, b: Assembly): boolean =>
  (['model', 'frozen', 'method', 'settings', 'precision', 'objective'] as const).every((part) => a[part] === b[part]) &&
  (a.inBlocks === true) === (b.inBlocks === true)

/** A new graph, for its memory. That of the first phase is kept. */
export const graphToCount = (assembly: Assembly, phase: unknown, accumulation: Accumulation): StepGraph => {
  const graph = stepGraph(assembly, phase, accumulation)
  const key = JSON.stringify(phase)
  const kept = counted.get(assembly.objective) ?? { assembly, phase: key, graphs: new Map<Accumulation, StepGraph>() }
  counted.set(assembly.objective, kept)
  if (sameParts(kept.assembly, assembly) && kept.phase === key) kept.graphs.set(accumulation, graph)
  return graph
}

/** The kept graph if it is that of these parts and this phase, or else a new one. It is kept no longer. */
export const graphToOpen = (assembly: Assembly, phase: unknown, accumulation: Accumulation): StepGraph => {
  const kept = counted.get(assembly.objective)
  if (kept === undefined) return stepGraph(assembly, phase, accumulation)
  const fits = sameParts(kept.assembly, assembly) && kept.phase === JSON.stringify(phase)
  const graph = fits ? kept.graphs.get(accumulation) : undefined
  if (graph !== undefined) kept.graphs.delete(accumulation)
  if (!fits || kept.graphs.size === 0) counted.delete(assembly.objective)
  return graph ?? stepGraph(assembly, phase, accumulation)
}
