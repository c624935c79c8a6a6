/** Texts that share a row of a batch do not attend to each other. Their loss and every gradient are those of texts in separate rows. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import { checkpointNumbers, frozenWeights, weightSource } from '../../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { causalLM, type TextExample } from '../../../accelerated/objectives/causalLM.js'
import { unlabeled } from '../../../accelerated/objectives/labeledTokens.js'
import { findDevice } from '../../../accelerated/engines/devices/findDevice.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { assemble } from '../../../accelerated/training/assembly.js'
import { openPhaseSessions } from '../../../accelerated/training/phaseSessions.js'
import { initializeRun } from '../../../accelerated/training/initialState.js'
import { trainStep } from '../../../accelerated/training/trainStep.js'
import { largestBatch } from '../../../accelerated/training/batchFeeds.js'
import { packed } from '../../../finetuning/tasks/texts/tokens.js'
import { decoderFamilies, fixtures } from '../../golden/golden.js'
import { assertClose } from '../../support/assertClose.js'

const texts = [5, 9, 3, 12, 7, 2].map((length, row): TextExample => {
  const inputIds = Array.from({ length }, (_, i) => 3 + ((7 * row + 5 * i) % 46))
  return { inputIds, targets: inputIds.map((_, i) => (i + 1 < length && i >= row % 3 ? (inputIds[i + 1] ?? 0) : unlabeled)), row }
})

const stepOf = async (family: string, examples: readonly TextExample[], more: object = {}) => {
  const base = await openModelFolder(join(fixtures, family))
  const [method, precision] = [findMethod('lora'), findPrecision('float64')]
  const settings = resolveSettings({ method: 'lora', rank: 2, precision: 'float64', initLoraWeights: 'kaiming', ...more })
  const parts = { model: base.model, frozen: frozenWeights(base, 'float64'), method, settings, precision }
  const assembly = assemble(parts, (model) => causalLM(model, method))
  const state = await initializeRun(assembly, checkpointNumbers(base))
  // B is 0 at first, and A has no gradient then
  state.parameters.forEach((x, i) => {
    state.parameters[i] = x === 0 ? Math.sin(i) / 10 : x
  })
  const runtime = { engine: findDevice('cpu').engine({ threads: 1 }), weights: weightSource(base) }
  const batch = { length: examples.length, at: (i: number) => examples[i] }
  const opened = await openPhaseSessions(assembly, state.phase, runtime, largestBatch(batch, examples.length, 0))
  const context = { assembly, objective: assembly.objective, progress: { step: 0, steps: 1 }, learningRate: 1e-3, spare: null }
  const outcome = await trainStep(context, opened, state, [examples]).finally(opened.release)
  return { loss: outcome.taskLoss, tokens: outcome.tokens, moment: outcome.state.firstMoment }
}

describe.each(decoderFamilies)('%s', (family) => {
  it('has the same loss and gradients for texts that share a row as for separate rows', async () => {
    const shared = packed(texts, 16)
    expect(shared.length).toBeLessThan(texts.length)
    const [separate, together] = [await stepOf(family, texts), await stepOf(family, shared)]
    expect(together.tokens).toBe(separate.tokens)
    assertClose([together.loss], [separate.loss], { relative: 1e-12 })
    expect(separate.moment.some((x) => Math.abs(x) > 1e-6)).toBe(true)
    assertClose(together.moment, separate.moment, { relative: 1e-12 })
  })
})

describe('the largest batch of packed texts', () => {
  it('is bounded by the most texts per row, the longest text and the longest rows', () => {
    const rows = packed(texts, 16)
    expect(rows.map(({ ends }) => ends)).toEqual([[2, 5, 10], [7, 16], [12]])
    const of = (batchSize: number) => largestBatch({ length: rows.length, at: (i) => rows[i] }, batchSize, 0)
    expect(of(1)).toEqual({ batch: 3, sequence: 12, tokens: 16 })
    expect(of(2)).toEqual({ batch: 5, sequence: 12, tokens: 28 })
    expect(largestBatch({ length: 3, at: (i) => rows[i] }, 2, 4)).toEqual({ batch: 5, sequence: 16, tokens: 16 + 8 + 10 + 12 })
  })
})

describe('dropout of packed texts', () => {
  it('has a pool for every batch of shared rows', async () => {
    const { loss } = await stepOf('llama', packed(texts, 16), { loraDropout: 0.5, dropout: 0.5 })
    expect(loss).toBeGreaterThan(0)
  })
})
