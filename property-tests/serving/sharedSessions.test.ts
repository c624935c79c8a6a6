/** Shared sessions: equal graphs over the same weights are opened once, others are not, and the last release frees. */
import { describe, expect, it } from 'vitest'
import { cpu } from '../../accelerated/engines/devices/device.js'
import type { WeightSource } from '../../accelerated/engines/engine.js'
import { withSharedSessions } from '../../accelerated/engines/sharedSessions.js'
import { add, input, mul, weight } from '../../accelerated/graph/operators.js'

import { keepingEngine, type Traffic } from '../support/keepingEngine.js'

const x = input('x', [2], 'float32')
const w = weight('w', [2], 'float32', { location: 'model.safetensors', offset: 0, length: 8 })
const [doubled, squared] = [{ y: add(x, w) }, { y: mul(x, w) }]
const folder =
  (name: string): WeightSource =>
  async () =>
    name

const counted = (fails = false) => {
  const counts = { opened: 0, released: 0 }
  const device = withSharedSessions({
    ...cpu,
    engine: () => ({
      open: async () => {
        counts.opened++
        if (fails) throw new Error('refused')
        return { inputs: ['x'], run: async () => ({}), release: async () => void counts.released++ }
      },
    }),
  })
  return { counts, device }
}

describe('shared sessions', () => {
  it('open a graph once for each folder of weights and each choice of settings', async () => {
    const { counts, device } = counted()
    const open = (graph: typeof doubled, weights: string, threads = 1) => device.engine({ threads }).open(graph, folder(weights))
    await Promise.all([open(doubled, 'a'), open(doubled, 'a'), open({ y: add(x, w) }, 'a')])
    expect(counts.opened).toBe(1)
    await open(squared, 'a')
    await open(doubled, 'b')
    await open(doubled, 'a', 2)
    await device.engine({ threads: 1 }).open(doubled, folder('a'), { prepack: false })
    expect(counts.opened).toBe(5)
  })

  it('open a graph without weights once for any files, which they do not ask for: nothing depends on them', async () => {
    const { counts, device } = counted()
    const gone: WeightSource = () => Promise.reject(new Error('a file changed since'))
    for (const weights of [folder('a'), folder('b'), gone]) await device.engine({ threads: 1 }).open({ y: add(x, x) }, weights)
    expect(counts.opened).toBe(1)
  })

  it('free a session with its last release, and open it anew after that', async () => {
    const { counts, device } = counted()
    const open = () => device.engine({ threads: 1 }).open(doubled, folder('a'))
    const [first, second] = [await open(), await open()]
    await first.release()
    expect(counts.released).toBe(0)
    await second.release()
    expect(counts).toEqual({ opened: 1, released: 1 })
    await open()
    expect(counts.opened).toBe(2)
  })

  it('are not made for weights without a folder, and a refused graph is tried again', async () => {
    const { counts, device } = counted()
    const nameless: WeightSource = async () => async () => new Uint8Array()
    for (let i = 0; i < 2; i++) await device.engine({ threads: 1 }).open(doubled, nameless)
    expect(counts.opened).toBe(2)
    const refused = counted(true)
    for (let i = 0; i < 2; i++) await expect(refused.device.engine({ threads: 1 }).open(doubled, folder('a'))).rejects.toThrow('refused')
    expect(refused.counts.opened).toBe(2)
  })

  it('keep on the device what each opening has there, and free it with that opening', async () => {
    const traffic: Traffic[] = []
    const device = withSharedSessions({ ...cpu, engine: (settings) => keepingEngine(cpu.engine(settings), traffic) })
    const [sum, scale] = [input('sum', [2], 'float32'), input('scale', [2], 'float32')]
    const graph = { next: add(sum, mul(scale, x)), y: mul(scale, x) }
    const open = () => device.engine({ threads: 1 }).open(graph, folder('/'), { carry: { next: 'sum' }, fixed: ['scale'] })
    const [a, b] = [await open(), await open()]
    const pair = (value: number) => ({ data: Float32Array.of(value, 0), shape: [2] })
    const begun = [await a.run({ x: pair(1), scale: pair(2), sum: pair(0) }), await b.run({ x: pair(1), scale: pair(5), sum: pair(100) })]
    expect(begun.map(({ y }) => y?.[0])).toEqual([2, 5])
    expect((await b.run({ x: pair(3) }))['y']?.[0]).toBe(15)
    expect((await a.run({ x: pair(4) }))['y']?.[0]).toBe(8)
    expect((await a.carried?.())?.['next']?.[0]).toBe(10)
    await a.release()
    await b.run({ x: pair(1) })
    expect((await b.carried?.())?.['next']?.[0]).toBe(125)
    await b.release()
    expect(traffic).toEqual([24, 24, 8, 8, 8].map((up) => ({ up, down: 8 })))
  })

  it('compute with the feeds of each opening', async () => {
    const device = withSharedSessions(cpu)
    const open = () => device.engine({ threads: 1 }).open({ y: add(x, x) }, folder('/'))
    const [a, b] = [await open(), await open()]
    const run = (session: typeof a, value: number) => session.run({ x: { data: Float32Array.of(value, 0), shape: [2] } })
    const [first, second] = await Promise.all([run(a, 3), run(b, 5)])
    await a.release()
    expect([first['y']?.[0], second['y']?.[0], (await run(b, 7))['y']?.[0]]).toEqual([6, 10, 14])
    await b.release()
  })
})
