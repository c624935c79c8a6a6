/** A step with --gradient-checkpointing has the bits of one without: every method, every family of models, every precision. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { checkpointNumbers } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { topologicalOrder } from '../../accelerated/graph/expression.js'
import { methods } from '../../accelerated/methods/index.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { openFrozen } from '../../accelerated/precisions/precision.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { MethodName, SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { assemble, buildLayout } from '../../accelerated/training/assembly.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { openPhaseSessions } from '../../accelerated/training/phaseSessions.js'
import { initializeRun } from '../../accelerated/training/initialState.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { largestBatch } from '../../accelerated/training/batchFeeds.js'
import { decoderFamilies, fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder: cache } = temporaryFolder('recompute')

const lengths = [9, 4, 7, 1]

/** The state and the reports after two steps. */
const bitsOf = async (
  family: string,
  given: SettingsInput,
  task: 'sequence' | 'causal',
): Promise<Readonly<Record<string, ArrayLike<number>>>> => {
  const settings = resolveSettings({ maxSteps: 10, dropout: 0.2, learningRate: 0.01, warmupRatio: 0, ...given })
  const base = await openModelFolder(join(fixtures, family))
  const [method, precision] = [findMethod(settings.method), findPrecision(settings.precision)]
  const frozen = await openFrozen(precision, base, cache)
  const parts = { model: base.model, frozen: frozen.tensor, method, settings, precision }
  const examples = lengths.map((length, row) => {
    const inputIds = Array.from({ length }, (_, i) => 5 + ((7 * i + 3 * row) % 20))
    return { inputIds, label: row % 2, row, targets: [...inputIds.slice(1), -100] }
  })
  // both objectives read the examples that they know
  const assembly = assemble(parts, (model) =>
    task === 'causal'
      ? (causalLM(model) as unknown as Objective<TrainingExample>)
      : (sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }) as unknown as Objective<TrainingExample>),
  )
  let state = await initializeRun(assembly, checkpointNumbers(base))
  const progress = { step: 0, steps: 10 }
  const layouts = { vectors: state, buildLayout: (phase: unknown) => buildLayout(assembly, phase), dtype: precision.dtype }
  const next = method.phases.advance?.(state.phase, settings, progress, layouts) ?? null
  if (next !== null) state = { ...state, ...next.vectors, phase: next.phase }
  const runtime = { engine: cpu.engine({ threads: 1 }), weights: frozen.weights }
  const opened = await openPhaseSessions(
    assembly,
    state.phase,
    runtime,
    largestBatch(examples, settings.batchSize, settings['numVirtualTokens'] ?? 0),
  )
  const reported: number[] = []
  for (let step = 0; step < 2; step++) {
    const context = { assembly, objective: assembly.objective, progress: { ...progress, step }, learningRate: 0.01, spare: null }
    const outcome = await trainStep(
      context,
      opened,
      state,
      settings.gradientAccumulationSteps === 1 ? [examples] : [examples.slice(0, 1), examples.slice(1)],
    )
    reported.push(outcome.loss, outcome.taskLoss)
    state = outcome.state
  }
  await opened.release()
  const recomputed = topologicalOrder(Object.values(stepGraph(assembly, state.phase, 'whole').outputs)).filter(
    ({ op }) => op === 'Checkpoint',
  )
  expect(recomputed.length).toBe(settings.gradientCheckpointing ? base.model.spec.layers.length : 0)
  return { reported, ...state.memory, parameters: state.parameters, firstMoment: state.firstMoment, secondMoment: state.secondMoment }
}

const expectSame = async (family: string, given: SettingsInput, task: 'sequence' | 'causal' = 'sequence'): Promise<void> => {
  const [kept, made] = [await bitsOf(family, given, task), await bitsOf(family, { ...given, gradientCheckpointing: true }, task)]
  expect(made).toEqual(kept)
  expect(Array.from(kept['told'] ?? []).every(Number.isFinite)).toBe(true)
}

const gated = { gateStart: 0, gateEnd: 1 }
const short = (method: MethodName): SettingsInput => ({
  method,
  ...(method === 'salora' ? gated : {}),
  ...(method === 'prefix' || method === 'prompt' ? { numVirtualTokens: 3 } : {}),
  ...(method === 'houlsby' || method === 'pfeiffer' ? { reductionFactor: 4 } : {}),
})

describe('a step with --gradient-checkpointing and one without', () => {
  it.each(methods.map(({ name }) => name as MethodName))(
    'gradient checkpointing gives the same bits by method %s, in float32 and float64',
    async (method) => {
      for (const precision of ['float32', 'float64'] as const) await expectSame('roberta', { ...short(method), precision })
    },
  )

  it.each(['bert', 'distilbert', 'electra', 'mpnet', 'deberta-v2', 'modernbert', ...decoderFamilies])(
    'gradient checkpointing gives the same bits on %s',
    (family) => expectSame(family, short('salora')),
  )

  it('gradient checkpointing gives the same bits in int8', () => expectSame('roberta', { ...short('salora'), precision: 'int8' }))
  it('gradient checkpointing gives the same bits without dropout', () => expectSame('roberta', { ...short('salora'), dropout: 0 }))
  it('gradient checkpointing gives the same bits for accumulated batches', () =>
    expectSame('roberta', { ...short('lora'), gradientAccumulationSteps: 2 }))
  it('gradient checkpointing gives the same bits with DoRA', () => expectSame('roberta', { ...short('lora'), useDora: true }))
  it('gradient checkpointing gives the same bits for a causal loss', () => expectSame('qwen2', short('lora'), 'causal'))
})
