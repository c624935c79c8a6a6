/** The measured speed of a precision's products: a ratio for a device that has them, taken on sessions that end. */
import { describe, expect, it, vi } from 'vitest'
import { cpu, type Device } from '../../../accelerated/engines/devices/device.js'
import { type Expression, topologicalOrder } from '../../../accelerated/graph/expression.js'
import { int8Speedup } from '../../../accelerated/precisions/speedup.js'

describe('the speed of int8 products', () => {
  it('is a ratio above 0 of float32 products to int8 products, and every session is released', async () => {
    const ops: string[] = []
    let open = 0
    const watched: Device = {
      ...cpu,
      engine: (settings) => {
        const engine = cpu.engine(settings)
        return {
          ...engine,
          open: async (outputs: Readonly<Record<string, Expression>>, ...rest) => {
            ops.push(...topologicalOrder(Object.values(outputs)).map(({ op }) => op))
            const session = await engine.open(outputs, ...rest)
            open += 1
            const release = async (): Promise<void> => {
              open -= 1
              await session.release()
            }
            return { ...session, run: session.run.bind(session), release }
          },
        }
      },
    }
    const ratio = await int8Speedup(watched)
    expect(Number.isFinite(ratio) && ratio > 0).toBe(true)
    expect([ops.includes('MatMul'), ops.includes('QuantizedMatMul'), open]).toEqual([true, true, 0])
  })

  it('is the ratio of undisturbed runs where other processes lengthen most runs, and the two products run in turns on one thread', async () => {
    let clock = 0
    const [ran, threads]: [string[], number[]] = [[], []]
    const disturbed: Device = {
      ...cpu,
      engine: (settings) => ({
        open: ({ y }) => {
          threads.push(settings.threads)
          const op = y?.op ?? ''
          const run = () => {
            const isDisturbed = ran.length % 8 !== (op === 'MatMul' ? 2 : 5)
            ran.push(op)
            clock += (op === 'MatMul' ? 3 : 1) + (isDisturbed ? 10 + ran.length : 0)
            return Promise.resolve({})
          }
          return Promise.resolve({ inputs: ['x'], run, release: () => Promise.resolve() })
        },
      }),
    }
    const now = vi.spyOn(performance, 'now').mockImplementation(() => clock)
    const ratio = await int8Speedup(disturbed).finally(() => {
      now.mockRestore()
    })
    expect(ratio).toBe(3)
    expect(ran.map((op) => op === 'MatMul')).toEqual(ran.map((_, i) => i % 2 === 0))
    expect(threads).toEqual([1, 1])
  })
})
