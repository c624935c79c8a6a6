/** The memory that a run will hold, derived from its graphs: what their weights, their values, its state and its batches come to. */
import { elementsOf } from '../../accelerated/training/dropoutFeeds.js'
import { allocations, bytesOf, nodeCount } from '../../accelerated/graph/liveness.js'
import { weightMemory } from '../../accelerated/graph/weightMemory.js'
import type { Expression } from '../../accelerated/graph/expression.js'
import { simulateArena } from '../../accelerated/engines/arena.js'
import { hasFixedOutputs, prepacks } from '../../accelerated/engines/onnxRuntimeNode.js'
import { layoutOf, type Assembly } from '../../accelerated/training/assembly.js'
import { inferenceGraph } from '../../accelerated/training/inferenceGraph.js'
import { stepGraph, type StepGraph } from '../../accelerated/training/stepGraph.js'
import { slack, type Dimensions } from '../../accelerated/training/dropoutFeeds.js'

/** In bytes. */
export type MemoryEstimate = {
  /** of the training sessions, as the precision holds them */
  readonly weights: number
  /** values between: what the runtime writes while a step runs */
  readonly activations: number
  /** parameters and moments in JavaScript, their copies from step to step, and the pools of dropout masks */
  readonly state: number
  /** weights and values of the evaluation's session */
  readonly evaluation: number
  /** of the sessions themselves */
  readonly graphs: number
}

type Outputs = Readonly<Record<string, Expression>>

/** A session's own description of a node, its kernel and what we made it of: measured (RoBERTa-base, LLaMA), 6 to 8 KB. */
const bytesOfNode = 7_000

/** @param training the largest batch @param evaluation that of an evaluation, null where there is none */
export const memoryEstimate = (assembly: Assembly, phase: unknown, training: Dimensions, evaluation: Dimensions | null): MemoryEstimate => {
  const { gradientAccumulationSteps } = assembly.settings
  const graphs =
    gradientAccumulationSteps > 1
      ? [stepGraph(assembly, phase, 'finish'), stepGraph(assembly, phase, 'add')]
      : [stepGraph(assembly, phase, 'whole')]
  const inference = evaluation === null ? null : inferenceGraph(assembly, phase)
  const all = [...graphs.map(({ outputs }) => outputs), ...(inference === null ? [] : [inference])]
  return {
    weights: sum(graphs.map(({ outputs }) => weightsOf(outputs, training))),
    activations: sum(graphs.map(({ outputs }) => valuesOf(outputs, training))),
    state: stateOf(assembly, phase) + sum(graphs.slice(0, 1).map((graph) => poolsOf(assembly, graph, training))),
    evaluation: inference === null ? 0 : weightsOf(inference, evaluation ?? {}) + valuesOf(inference, evaluation ?? {}),
    graphs: sum(all.map((outputs) => nodeCount(outputs) * bytesOfNode)),
  }
}

export const totalBytes = ({ weights, activations, state, evaluation, graphs }: MemoryEstimate): number =>
  weights + activations + state + evaluation + graphs

const sum = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0)

const weightsOf = (outputs: Outputs, sizes: Dimensions): number => weightMemory(outputs, sizes, prepacks(outputs, { prepack: false }))

/** Of two runs: the second finds the arena as the first left it. */
const valuesOf = (outputs: Outputs, sizes: Dimensions): number => {
  const events = allocations(outputs, sizes, hasFixedOutputs(outputs))
  return simulateArena([...events, ...events])
}

/** Written over from step to step, with two generations of parameters; the best parameters beside them. */
const stateOf = (assembly: Assembly, phase: unknown): number => {
  const { method, settings, precision } = assembly
  const vector = bytesOf({ shape: [layoutOf(assembly, phase).size], dtype: precision.dtype }, {})
  const own = 3 + (method.train.optimizerExtension?.(phase, settings).names.length ?? 0)
  return vector * (own + 1 + 1)
}

const poolsOf = ({ precision }: Assembly, { sites }: StepGraph, sizes: Dimensions): number =>
  sum(
    [...new Set(sites.map(({ probability }) => probability))].map((p) => {
      const most = Math.max(...sites.filter(({ probability }) => probability === p).map((site) => elementsOf(site, sizes)))
      return bytesOf({ shape: [most + slack], dtype: precision.dtype }, {})
    }),
  )
