/** A process of its own that runs one of the large graphs twice, and says by how many bytes it then holds more: `node residentRun.js NAME`. */
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { largeGraphs, tokens } from './largeGraphs.js'

const graph = largeGraphs[process.argv[2] as keyof typeof largeGraphs]
const session = await cpu.engine({ threads: 1 }).open({ y: graph }, () => Promise.reject(new Error('no weights')))
const feeds = Object.fromEntries(
  topologicalOrder([graph]).flatMap(({ op, shape, dtype, attributes: { name = '' } }) => {
    if (op !== 'Input') return []
    const sizes = shape.map((d) => (typeof d === 'number' ? d : tokens))
    const count = sizes.reduce((a, b) => a * b, 1)
    return [[name, { shape: sizes, data: dtype === 'int32' ? new Int32Array(count) : new Float32Array(count).fill(0.01) }] as const]
  }),
)
const before = process.memoryUsage.rss()
for (let run = 0; run < 2; run++) await session.run(feeds)
console.log(process.memoryUsage.rss() - before)
await session.release()
