/** The engine of Node: large results lie where the caller wants them, copied nowhere, and a run that writes over its state has the bits of one that does not. */
import { describe, expect, it } from 'vitest'
import { precisionOf } from '../../accelerated/commonSettings.js'
import { add, input, mul, reduceSum } from '../../accelerated/graph/operators.js'
import { parseConfigFile } from '../../accelerated/files/configFile.js'
import { sequence, type LabelledExample } from '../../accelerated/objectives/sequence.js'
import { cpu } from '../../accelerated/runtime/devices/cpu.js'
import { noWeights, type Session } from '../../accelerated/runtime/engine.js'
import { floatFeed } from '../../accelerated/runtime/feeds.js'
import { nodeEngine } from '../../accelerated/runtime/node.js'
import { methodOf, resolveSettings } from '../../accelerated/settings.js'
import { assemble } from '../../accelerated/training/assembly.js'
import { train } from '../../accelerated/training/run.js'
import { startOfRun } from '../../accelerated/training/state.js'

const engine = nodeEngine({ device: cpu, threads: 1 })
const size = 1 << 24 // numbers from which on results are written in place

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

describe('large results', () => {
  it('are written into memory of the caller and copied nowhere', () =>
    withSession(async ({ run }) => {
      const [moment, gradient, room] = [filled(2), filled(3), filled(0)]
      await run({ moment: feed(moment), gradient: feed(gradient) }, { next: feed(room) })
      const before = process.memoryUsage().arrayBuffers
      const { next, sum } = await run({ moment: feed(moment), gradient: feed(gradient) }, { next: feed(room) })
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(size) // a copy has four times as many bytes
      expect(next).toBe(room)
      expect([room[0], room[size - 1], Number(sum?.[0])]).toEqual([4, 4, 4 * size])
    }))

  it('may take the place of what they are made from', () =>
    withSession(async ({ run }) => {
      const moment = filled(2)
      await run({ moment: feed(moment), gradient: feed(filled(3)) }, { next: feed(moment) })
      expect(moment.every((value) => value === 4)).toBe(true)
    }))

  it('lie in new memory where the caller gave none, other memory at each run', () =>
    withSession(async ({ run }) => {
      const first = await run({ moment: feed(filled(2)), gradient: feed(filled(3)) })
      const second = await run({ moment: feed(filled(4)), gradient: feed(filled(3)) })
      expect([first['next']?.[7], second['next']?.[7]]).toEqual([4, 5])
    }))

  it('do not hide that a run failed', () =>
    withSession(async ({ run }) => {
      await expect(run({ moment: feed(filled(2)), gradient: floatFeed([1, 2], [2], 'float32') })).rejects.toThrow(/gradient/)
      await expect(run({ moment: feed(filled(2)) })).rejects.toThrow('run: expected a feed for input gradient, found none')
    }))
})

describe('full fine-tuning of a large model', () => {
  const stepsOf = async (ownMemory: boolean): Promise<{ readonly losses: number[]; readonly parameters: ArrayLike<number> }> => {
    const config = {
      model_type: 'bert',
      vocab_size: 270_000,
      hidden_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      intermediate_size: 64,
      max_position_embeddings: 16,
      type_vocab_size: 2,
      layer_norm_eps: 1e-12,
      pad_token_id: 0,
      hidden_act: 'gelu',
    }
    const { model } = parseConfigFile(JSON.stringify(config), 'config.json')
    const settings = resolveSettings({
      method: 'full',
      maxSteps: 4,
      evalEvery: 4,
      batchSize: 2,
      maxLength: 16,
      dropout: 0,
      learningRate: 1e-2,
      warmup: 0,
    })
    const frozen = (name: string): never => {
      throw new Error(`nothing is frozen, found ${name}`)
    }
    const parts = { model, frozen, method: methodOf('full'), settings, precision: precisionOf('float32') }
    const assembly = assemble(parts, (own) => sequence(own, { labels: 2, problem: 'classification' }))
    const training = Array.from({ length: 4 }, (_, row): LabelledExample => ({ inputIds: [2, 50_000 * row + 7, 3], label: row % 2, row }))
    const runtime = { engine: nodeEngine({ device: { ...cpu, ownMemory }, threads: 1 }), weights: noWeights }
    const score = () => ({ scores: {}, selection: 0, constant: null })
    const start = await startOfRun(assembly, async () => undefined)
    const run = train({ ...assembly, runtime, training, evaluation: training, score }, start, null, new AbortController().signal)
    const losses: number[] = []
    for (;;) {
      const { done, value } = await run.next()
      if (done === true) return { losses, parameters: value.last.parameters }
      if (value.kind === 'step') losses.push(value.loss)
    }
  }

  it('has the same bits whether its state is written over or copied', async () => {
    const [inPlace, copied] = [await stepsOf(true), await stepsOf(false)]
    expect(inPlace.losses).toHaveLength(4)
    expect(inPlace.losses).toEqual(copied.losses)
    expect(Buffer.compare(bytesOf(inPlace.parameters), bytesOf(copied.parameters))).toBe(0)
  })
})

const bytesOf = (numbers: ArrayLike<number>): Buffer => {
  const { buffer, byteOffset, byteLength } = numbers as Float32Array
  return Buffer.from(buffer, byteOffset, byteLength)
}
