/** Estimates a run's memory from its graphs: weights, activations, optimizer state and dropout pools. */
import { countElements, slack, type Dimensions } from '../../accelerated/training/dropoutFeeds.js'
import { allocations, countBytes, nodeCount, weightMemory } from '../../accelerated/graph/liveness.js'
import type { Expression } from '../../accelerated/graph/expression.js'
import { simulateArena } from '../../accelerated/engines/arena.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { hasFixedOutputs } from '../../accelerated/engines/onnxRuntimeNode.js'
import { prepacks } from '../../accelerated/engines/sessionOptions.js'
import { buildLayout, memoryNames, type Assembly } from '../../accelerated/training/assembly.js'
import { graphToCount } from '../../accelerated/training/graphCache.js'
import { inferenceGraph } from '../../accelerated/training/inferenceGraph.js'
import { rowsGraph, type StepGraph } from '../../accelerated/training/stepGraph.js'
import { dimensionsInBlocks, forSequence } from '../../accelerated/training/batchFeeds.js'
import { accumulates } from '../../accelerated/settings/commonSettings.js'

/** In bytes. */
export type MemoryEstimate = {
  /** of the training sessions, in the run's precision */
  readonly weights: number
  /** intermediate values of a step */
  readonly activations: number
  /** parameters and moments in JavaScript, their copies between steps, and the pools of dropout masks */
  readonly state: number
  /** weights and activations of the evaluation's session */
  readonly evaluation: number
  /** the session that answers sample prompts, with its cache; 0 without them */
  readonly samples: number
  /** the sessions' own data structures */
  readonly graphs: number
}

type Outputs = Readonly<Record<string, Expression>>

/** Bytes of a node in the session, its kernel and our expression. Measured (RoBERTa-base, LLaMA): 6 to 8 KB. */
export const bytesPerNode = 7_000

/** @param training the largest training batch @param evaluation the largest evaluation batch; null: no evaluation @param samples bytes of their session */
export const memoryEstimate = (
  assembly: Assembly,
  phase: unknown,
  training: Dimensions,
  evaluation: Dimensions | null,
  samples: (phase: unknown) => number = () => 0,
): MemoryEstimate => {
  const [step, sizes] = forLongest(assembly, training)
  const graphs = accumulates(assembly.settings)
    ? [graphToCount(step, phase, 'finish'), graphToCount(step, phase, 'add')]
    : [graphToCount(step, phase, 'whole')]
  const rows = rowsGraph(step, phase)
  const trained = [...graphs.map(({ outputs }) => outputs), ...(rows === null ? [] : [rows])]
  const [evaluator, evaluationSizes] = forLongest(assembly, evaluation ?? {})
  const inference = evaluation === null ? null : inferenceGraph(evaluator, phase)
  const all = [...trained, ...(inference === null ? [] : [inference])]
  return {
    weights: sum(trained.map((outputs) => countWeightBytes(outputs, sizes))),
    activations: sum(trained.map((outputs) => simulateValues(outputs, sizes))),
    state: countStateBytes(assembly, phase) + sum(graphs.slice(0, 1).map((graph) => countPoolBytes(assembly, graph, sizes))),
    evaluation: inference === null ? 0 : countWeightBytes(inference, evaluationSizes) + simulateValues(inference, evaluationSizes),
    samples: samples(phase),
    graphs: sum(all.map((outputs) => nodeCount(outputs) * bytesPerNode)),
  }
}

export const totalBytes = ({ weights, activations, state, evaluation, samples, graphs }: MemoryEstimate): number =>
  weights + activations + state + evaluation + samples + graphs

/** The assembly for the longest text of a batch, and the batch's sizes. */
const forLongest = (assembly: Assembly, batch: Dimensions): readonly [Assembly, Dimensions] => {
  const own = forSequence(assembly, batch['sequence'] ?? 0, cpu.target)
  return [own, dimensionsInBlocks(own, batch)]
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

const countWeightBytes = (outputs: Outputs, sizes: Dimensions): number =>
  weightMemory(outputs, sizes, prepacks(outputs, { prepack: false }))

/** Simulates two steps: the second starts with the arena that the first left. */
const simulateValues = (outputs: Outputs, sizes: Dimensions): number => {
  const events = allocations(outputs, sizes, hasFixedOutputs(outputs))
  return simulateArena([...events, ...events])
}

/** Parameters of two steps, the moments, the method's optimizer vectors, and the best parameters. */
const countStateBytes = (assembly: Assembly, phase: unknown): number => {
  const { precision } = assembly
  const vector = countBytes({ shape: [buildLayout(assembly, phase).size], dtype: precision.dtype }, {})
  const perStep = 3 + memoryNames(assembly, phase).length
  return vector * (perStep + 1 + 1)
}

const countPoolBytes = ({ precision }: Assembly, { sites }: StepGraph, sizes: Dimensions): number =>
  sum(
    [...new Set(sites.map(({ probability }) => probability))].map((p) => {
      const most = Math.max(...sites.filter(({ probability }) => probability === p).map((site) => countElements(site, sizes)))
      return countBytes({ shape: [most + slack], dtype: precision.dtype }, {})
    }),
  )
