/** Runs into the caller's buffers depend on an error of the binding. A probe checks for that error, and without it the engine copies. */
import type { InferenceSession } from 'onnxruntime-node'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { add, input, mul, reduceSum } from '../../../accelerated/graph/operators.js'
import { noWeights } from '../../../accelerated/engines/engine.js'
import { floatFeed } from '../../../accelerated/engines/feeds.js'
import type * as loading from '../../../accelerated/engines/loadOnnxRuntime.js'

type Run = (feeds: InferenceSession.FeedsType, fetches?: InferenceSession.FetchesType) => ReturnType<InferenceSession['run']>
/** What the binding does with a run; `sessions` counts those that it created. */
const binding = vi.hoisted(() => ({ sessions: 0, around: (run: Run): Run => run }))

vi.unmock('../../../accelerated/engines/onnxRuntimeNode.js') // each test loads the engine anew
vi.mock('../../../accelerated/engines/loadOnnxRuntime.js', async (original) => {
  const { onnxRuntime } = await original<typeof loading>()
  const create = async (...[model, options]: [Uint8Array, InferenceSession.SessionOptions]): Promise<InferenceSession> => {
    binding.sessions += 1
    const session = await (await onnxRuntime()).InferenceSession.create(model, options)
    const run = binding.around((feeds, fetches) => (fetches === undefined ? session.run(feeds) : session.run(feeds, fetches)))
    return new Proxy(session, {
      get: (target, name) => {
        const value: unknown = name === 'run' ? run : Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  return { onnxRuntime: async () => ({ ...(await onnxRuntime()), InferenceSession: { create } }) }
})

afterEach(() => {
  binding.sessions = 0
  binding.around = (run) => run
  vi.resetModules()
})

/** moment / 3 + gradient, twice in one session of a process that has opened none before. */
const results = async () => {
  const { cpuEngine } = await import('../../support/cpuEngine.js')
  const [moment, gradient] = [input('moment', [5], 'float32'), input('gradient', [5], 'float32')]
  const next = add(mul(moment, 1 / 3), gradient)
  const session = await cpuEngine().open({ next, sum: reduceSum(next) }, noWeights)
  const feeds = { moment: floatFeed([1, 2, 3, 4, 5], [5], 'float32'), gradient: floatFeed([0.1, 0.2, 0.3, 0.4, 0.5], [5], 'float32') }
  const buffer = new Float32Array(5)
  const first = await session.run(feeds, { next: floatFeed(buffer, [5], 'float32') })
  const second = await session.run(feeds)
  await session.release()
  return { first, second, buffer }
}

describe('an engine that can write results into buffers', () => {
  it('does so where the binding refuses a sequence', async () => {
    const { first, second, buffer } = await results()
    expect(first['next']).toBe(buffer)
    expect(second['next']).not.toBe(buffer)
    expect(second).toEqual(first)
  })

  it('probes the binding once per process, with one more session than were asked for', async () => {
    await results()
    await results()
    expect(binding.sessions).toBe(1 + 2)
  })

  it.each<[string, (run: Run) => Run]>([
    [
      'words its refusal otherwise',
      (run) => async (feeds, fetches) => run(feeds, fetches).catch(() => Promise.reject(new Error('Not supported.'))),
    ],
    ['converts the sequence', (run) => async (feeds, fetches) => ('not a tensor' in (fetches ?? {}) ? {} : run(feeds, fetches))],
    [
      'refuses the sequence before it computes anything',
      (run) => async (feeds, fetches) => {
        if ('not a tensor' in (fetches ?? {})) throw new Error('Non tensor type')
        return run(feeds, fetches)
      },
    ],
  ])('copies results, with the same bits, where the binding %s', async (_, around) => {
    const written = await results()
    vi.resetModules()
    binding.around = around
    const { first, second, buffer } = await results()
    expect(first['next']).not.toBe(buffer)
    expect(buffer).toEqual(new Float32Array(5))
    expect(first).toEqual(written.first)
    expect(second).toEqual(written.first)
  })
})
