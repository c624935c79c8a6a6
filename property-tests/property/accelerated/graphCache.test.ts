/** A step's graph is built once: its session opens the one that the estimate of memory counted. */
import { describe, expect, it } from 'vitest'
import { noWeights, type Engine } from '../../../accelerated/engines/engine.js'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { lower } from '../../../accelerated/graph/lowering.js'
import { input } from '../../../accelerated/graph/operators.js'
import { toOnnx } from '../../../accelerated/graph/onnx.js'
import { decoderModel } from '../../../accelerated/models/llama/llama.js'
import { causalLM } from '../../../accelerated/objectives/causalLM.js'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import type { Assembly } from '../../../accelerated/training/assembly.js'
import { openPhaseSessions } from '../../../accelerated/training/phaseSessions.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { memoryEstimate } from '../../../finetuning/run/memoryEstimate.js'
import { decoderConfig } from '../../support/plainDecoder.js'

const target = { fusedMatMul: true, fusedDecoder: true, scan: true }
const config = {
  ...decoderConfig,
  ...{ vocabularySize: 20, hiddenSize: 16, heads: 2, keyValueHeads: 2, headSize: 8, intermediateSize: 24, maxPositions: 64 },
  rotaryBase: 10_000,
} as const
const sizes = { batch: 2, tokens: 6, sequence: 3, labeled: 4 }

/** An assembly that counts its graphs, and an engine that keeps what it opens. */
const counting = (more: Readonly<Record<string, unknown>> = {}) => {
  const model = decoderModel(config)
  const tensors = new Map([...model.spec.tensors].map(([name, shape]) => [name, input(name, shape, 'float32')]))
  const [method, settings, objective] = [findMethod('salora'), resolveSettings({ method: 'salora', ...more }), causalLM(model)]
  let built = 0
  const loss: typeof objective.loss = (...of) => {
    built += 1
    return objective.loss(...of)
  }
  const frozen = (name: string): Expression => tensors.get(name) ?? expect.fail(`no tensor ${name}`)
  const assembly: Assembly = { model, frozen, method, settings, objective: { ...objective, loss }, precision: findPrecision('float32') }
  const opened: Readonly<Record<string, Expression>>[] = []
  const open: Engine['open'] = async (outputs) => {
    opened.push(outputs)
    return { inputs: [], run: async () => ({}), release: async () => undefined }
  }
  const openStep = (of: Assembly, phase: unknown) => openPhaseSessions(of, phase, { engine: { open }, weights: noWeights }, sizes)
  return { assembly, phase: () => method.phases.start(model.spec, settings), openStep, opened, built: () => built }
}

describe('the graph of a step', () => {
  it.each([
    [{}, 1],
    [{ gradientAccumulationSteps: 2 }, 2],
  ])(
    'is built once for its estimate and its first session (%j), and again for the next ones, with the same bytes',
    async (more, graphs) => {
      const { assembly, phase, openStep, opened, built } = counting(more)
      memoryEstimate(assembly, phase(), sizes, null)
      expect(built()).toBe(graphs)
      await openStep(assembly, phase()) // an equal phase, not the same object
      expect([built(), opened.length]).toEqual([graphs, graphs])
      await openStep(assembly, phase())
      expect([built(), opened.length]).toEqual([2 * graphs, 2 * graphs])
      for (let i = 0; i < graphs; i++)
        expect(Buffer.compare(toOnnx(opened[i] ?? {}, target), toOnnx(opened[graphs + i] ?? {}, target))).toBe(0)
    },
  )

  it('is another one for other settings, long texts and another phase, and is not kept beyond the first session', async () => {
    const others: readonly ((assembly: Assembly) => Assembly)[] = [
      (assembly) => ({ ...assembly, settings: { ...assembly.settings, gradientCheckpointing: true } }),
      (assembly) => ({ ...assembly, inBlocks: true }),
    ]
    for (const other of others) {
      const { assembly, phase, openStep, built } = counting()
      memoryEstimate(assembly, phase(), sizes, null)
      await openStep(other(assembly), phase())
      expect(built()).toBe(2)
      await openStep(assembly, phase())
      expect(built()).toBe(3)
    }
    const { assembly, phase, openStep, built } = counting()
    memoryEstimate(assembly, phase(), sizes, null)
    await openStep(assembly, { ...(phase() as object), matrices: (phase() as { readonly matrices: readonly unknown[] }).matrices.slice(1) })
    expect(built()).toBe(2)
  })

  it('is that of the first phase that is counted, not of a phase to come', async () => {
    const { assembly, phase, openStep, built } = counting()
    const shorter = { ...(phase() as object), matrices: (phase() as { readonly matrices: readonly unknown[] }).matrices.slice(1) }
    memoryEstimate(assembly, phase(), sizes, null)
    memoryEstimate(assembly, shorter, sizes, null)
    expect(built()).toBe(2)
    await openStep(assembly, phase())
    expect(built()).toBe(2)
  })

  it('is lowered once for a target, and each target has its own form', () => {
    const { assembly, phase, openStep, opened } = counting()
    return openStep(assembly, phase()).then(() => {
      const outputs = opened[0] ?? {}
      const plain = { fusedMatMul: true }
      for (const of of [target, plain, target, plain]) expect(Buffer.compare(toOnnx(outputs, of), toOnnx({ ...outputs }, of))).toBe(0)
      expect(Object.keys(lower(outputs))).toEqual(Object.keys(outputs))
    })
  })
})
