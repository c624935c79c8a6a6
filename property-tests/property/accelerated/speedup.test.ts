/** The measured speed of a precision's products: a ratio for a device that has them, taken on sessions that end. */
import { describe, expect, it } from 'vitest'
import { cpu } from '../../../accelerated/engines/devices/cpu.js'
import type { Device } from '../../../accelerated/engines/devices/device.js'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
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
    const ratio = await int8Speedup(watched, 1)
    expect(Number.isFinite(ratio) && ratio > 0).toBe(true)
    expect([ops.includes('MatMul'), ops.includes('QuantizedMatMul'), open]).toEqual([true, true, 0])
  })
})
