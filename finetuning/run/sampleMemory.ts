/** Estimates the memory of a run's samples: the session that answers the prompts after an evaluation, its cache, and its logits. */
import { cpu } from '../../accelerated/engines/devices/device.js'
import { simulateArena } from '../../accelerated/engines/arena.js'
import { prepacks } from '../../accelerated/engines/sessionOptions.js'
import { cacheKind, usualChunk } from '../../accelerated/generation/decoder.js'
import { decodingGraph } from '../../accelerated/generation/graph.js'
import { generationSettings } from '../../accelerated/generation/generationSettings.js'
import { allocations, countBytes, nodeCount, weightMemory } from '../../accelerated/graph/liveness.js'
import type { Assembly } from '../../accelerated/training/assembly.js'
import { bytesPerNode } from './memoryEstimate.js'

/** Numbers of prompts, and of tokens of the longest. */
export type SampledTexts = { readonly prompts: number; readonly tokens: number; readonly newTokens: number }

/** Bytes of a session that answers these prompts in a phase of the run. A cache that is full grows by half. */
export type SampleMemory = (phase: unknown) => number

export const estimateSampleMemory =
  (assembly: Assembly, { prompts, tokens, newTokens }: SampledTexts): SampleMemory =>
  (phase) => {
    const { model, precision } = assembly
    const kind = cacheKind(assembly, { cachedAttention: cpu.target.cachedAttention === true })
    const batch = Math.min(prompts, generationSettings.batchSize.schema.parse(undefined))
    const all = Math.min(tokens + newTokens, model.spec.maxPositions)
    const [capacity, read] = [Math.ceil(1.5 * all), Math.min(tokens, usualChunk)]
    const outputs = decodingGraph(assembly, phase, kind)
    const sizesAt = (sequence: number, past: number) => ({
      batch,
      wanted: batch,
      sequence,
      past,
      capacity,
      'past+sequence': past + sequence,
    })
    const [prompt, step] = [sizesAt(read, tokens - read), sizesAt(1, all - 1)]
    const cached = model.spec.layers.reduce((sum, { heads, headSize }) => sum + 2 * heads * headSize, 0)
    const numbers = batch * (cached * capacity * (kind === 'roomy' ? 1 : 2) + model.vocabularySize)
    return (
      weightMemory(outputs, step, prepacks(outputs, {})) +
      simulateArena([prompt, step].flatMap((sizes) => allocations(outputs, sizes, true))) +
      countBytes({ shape: [numbers], dtype: precision.dtype }, {}) +
      nodeCount(outputs) * bytesPerNode
    )
  }
