/** The engine of Node: results are written into the caller's buffers without a copy. A run that overwrites its state has the bits of one that does not. */
import { describe, expect, it } from 'vitest'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import { add, constant, input, mul, reduceSum } from '../../../accelerated/graph/operators.js'
import { parseConfigFile } from '../../../accelerated/checkpoints/configFile.js'
import { sequenceClassification, type LabeledExample } from '../../../accelerated/objectives/sequenceClassification.js'
import { noWeights, type Session } from '../../../accelerated/engines/engine.js'
import { floatFeed } from '../../../accelerated/engines/feeds.js'
import { methods } from '../../../accelerated/methods/index.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { assemble } from '../../../accelerated/training/assembly.js'
import { train } from '../../../accelerated/training/trainingLoop.js'
import { initializeRun } from '../../../accelerated/training/initialState.js'
import type { RunState } from '../../../accelerated/parameters/runState.js'
import { namedVectors } from '../../../accelerated/parameters/vectors.js'
import { cpuEngine } from '../../support/cpuEngine.js'

const engine = cpuEngine()
const size = 1 << 20

const withSession = async <A>(use: (session: Session) => Promise<A>): Promise<A> => {
  const [moment, gradient] = [input('moment', [size], 'float32'), input('gradient', [size], 'float32')]
  const next = add(mul(moment, 0.5), gradient)
  const session = await engine.open({ next, sum: reduceSum(next) }, noWeights)
  try {
    return await use(session)
  } finally {
    await session.release()
  }
}
const filled = (value: number): Float32Array => new Float32Array(size).fill(value)
const feed = (data: Float32Array) => floatFeed(data, [size], 'float32')

describe('the results of a run', () => {
  it("are written into the caller's buffers and not copied", () =>
    withSession(async ({ run }) => {
      const [moment, gradient, room] = [filled(2), filled(3), filled(0)]
      await run({ moment: feed(moment), gradient: feed(gradient) }, { next: feed(room) })
      const before = process.memoryUsage().arrayBuffers
      const { next, sum } = await run({ moment: feed(moment), gradient: feed(gradient) }, { next: feed(room) })
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(size) // a copy has four times as many bytes
      expect(next).toBe(room)
      expect([room[0], room[size - 1], Number(sum?.[0])]).toEqual([4, 4, 4 * size])
    }))

  it('are in a new buffer at each run if the caller gives none', () =>
    withSession(async ({ run }) => {
      const first = await run({ moment: feed(filled(2)), gradient: feed(filled(3)) })
      const second = await run({ moment: feed(filled(4)), gradient: feed(filled(3)) })
      expect([first['next']?.[7], second['next']?.[7]]).toEqual([4, 5])
    }))

  it('are the fed arrays if an output is an input', async () => {
    const fed = input('fed', [2], 'float32')
    const session = await engine.open({ fed, again: fed, twice: mul(fed, 2), same: mul(fed, 2) }, noWeights)
    const results = await session.run({ fed: floatFeed([3, 4], [2], 'float32') })
    await session.release()
    expect(results).toEqual(
      Object.fromEntries(
        Object.entries({ fed: [3, 4], again: [3, 4], twice: [6, 8], same: [6, 8] }).map(([name, numbers]) => [
          name,
          Float32Array.from(numbers),
        ]),
      ),
    )
  })

  it('are absent if the run fails', () =>
    withSession(async ({ run }) => {
      await expect(run({ moment: feed(filled(2)), gradient: floatFeed([1, 2], [2], 'float32') })).rejects.toThrow(/gradient/)
      await expect(run({ moment: feed(filled(2)) })).rejects.toThrow('run: expected a feed for input gradient, got none')
    }))
})

describe('a run', () => {
  const config = {
    ...{ model_type: 'bert', vocab_size: 200, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64 },
    ...{ max_position_embeddings: 64, type_vocab_size: 2, layer_norm_eps: 1e-12, pad_token_id: 0, hidden_act: 'gelu' },
  }
  const { model } = parseConfigFile(JSON.stringify(config), 'config.json')
  const frozen = (name: string) => {
    const shape = (model.spec.tensors.get(name) ?? []).map(Number)
    return constant(
      Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 0.1 * Math.sin(i + name.length)),
      shape,
      'float32',
    )
  }
  const common = { maxSteps: 12, evalSteps: 4, batchSize: 2, maxLength: 16, learningRate: 1e-2, warmupRatio: 0 }
  const training = Array.from({ length: 6 }, (_, row): LabeledExample => ({ inputIds: [2, 30 * row + 7, row + 9, 3], label: row % 2, row }))

  const stepsOf = async (name: string, preallocatedOutputs: boolean): Promise<{ readonly losses: number[]; readonly last: RunState }> => {
    const settings = resolveSettings({ ...common, method: name } as SettingsInput)
    const parts = { model, frozen, method: findMethod(name), settings, precision: findPrecision('float32') }
    const assembly = assemble(parts, (opened) => sequenceClassification(opened, { labels: 2, problemType: 'single_label_classification' }))
    const runtime = { engine: cpuEngine({ preallocatedOutputs }), weights: noWeights }
    const score = () => ({ scores: {}, selection: 0, constant: null })
    const start = await initializeRun(assembly, async () => undefined)
    const run = train({ ...assembly, runtime, training, evaluation: training, score }, start, null, new AbortController().signal)
    const losses: number[] = []
    for (;;) {
      const { done, value } = await run.next()
      if (done === true) return { losses, last: value.last }
      if (value.kind === 'step') losses.push(value.loss)
    }
  }

  it.each(methods.map(({ name }) => name))('a run of %s has the same bits whether its state is overwritten or copied', async (name) => {
    const [inPlace, copied] = [await stepsOf(name, true), await stepsOf(name, false)]
    expect(new Set(inPlace.losses).size).toBe(12)
    expect(inPlace.losses).toEqual(copied.losses)
    expect(vectorsOf(inPlace.last)).toEqual(vectorsOf(copied.last))
  })
})

/** Bits, not numbers: 0 is not −0. */
const vectorsOf = (state: RunState): readonly (readonly [string, string])[] =>
  Object.entries(namedVectors(state)).map(([name, { buffer, byteOffset, byteLength }]) => [
    name,
    Buffer.from(buffer, byteOffset, byteLength).toString('hex'),
  ])
