/** The benchmark counts operations as a closed form does; bench, doctor and verify measure and check this machine. */
import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { gradient } from '../../accelerated/graph/gradient.js'
import { input, matMul, reduceSum, scan, transpose } from '../../accelerated/graph/operators.js'
import { productCount } from '../../evaluation/benchmark/productRates.js'
import { salora } from './spawnSalora.js'

describe('productCount', () => {
  it('counts 2 m n p operations for a product, transposed or not, times the leading dimensions', () => {
    const [m, n, p] = [3, 5, 7]
    const sizes = { batch: 4 }
    expect(productCount([matMul(input('a', [m, n], 'float32'), input('b', [n, p], 'float32'))], {})).toBe(2 * m * n * p)
    expect(
      productCount([matMul(input('a', [n, m], 'float32'), input('b', [p, n], 'float32'), { transposeA: true, transposeB: true })], {}),
    ).toBe(2 * m * n * p)
    expect(productCount([matMul(input('a', ['12*batch', m, n], 'float32'), input('b', ['12*batch', n, p], 'float32'))], sizes)).toBe(
      12 * 4 * 2 * m * n * p,
    )
  })

  it('counts forward and backward passes: a linear layer costs three products, or two with a frozen weight', () => {
    const [x, w] = [input('x', ['tokens', 5], 'float32'), input('w', [5, 7], 'float32')]
    const y = matMul(x, w)
    const loss = reduceSum(matMul(transpose(y, [1, 0]), y))
    const operations = 2 * 7 * 11 * 7
    expect(
      productCount([loss, ...gradient(loss, [x, w])], { tokens: 11 }) - productCount([loss, ...gradient(loss, [x])], { tokens: 11 }),
    ).toBe(2 * 5 * 11 * 7)
    expect(productCount([loss], { tokens: 11 })).toBe(2 * 11 * 5 * 7 + operations)
  })

  it('counts the products of every block', () => {
    const [row, shared] = [input('', [1, 5], 'float32'), input('w', [5, 7], 'float32')]
    const body = { slices: [row], shared: [shared], results: [matMul(row, shared)], sums: [] }
    expect(productCount([scan([input('x', ['tokens', 1, 5], 'float32')], [shared], body)[0]], { tokens: 11 })).toBe(2 * 11 * 5 * 7)
  })

  it('refuses a dimension without a size', () => {
    expect(() => productCount([matMul(input('a', ['rows', 2], 'float32'), input('b', [2, 2], 'float32'))], { tokens: 1 })).toThrow(
      'productCount: expected a size for dimension rows, got tokens',
    )
  })
})

describe('salora bench', () => {
  it('counts the operations of a LoRA step from its shape, and compares the rates', async () => {
    const [batchSize, sequence, rank] = [2, 8, 8]
    const measured = async (...more: readonly string[]): Promise<Measured> => {
      const shape = ['--layers', '1', '--batch-size', '2', '--sequence', '8', '--repeats', '1', '--device', 'cpu']
      const { code, stdout } = await salora(['bench', ...shape, '--json', '--quiet', ...more], { cwd: tmpdir() })
      expect(code).toBe(0)
      return JSON.parse(stdout) as Measured
    }
    const result = await measured()
    const [h, i, tokens, modules] = [
      768,
      3072,
      batchSize * sequence,
      [
        [768, 768],
        [768, 768],
        [768, 768],
        [768, 768],
        [3072, 768],
        [768, 3072],
      ],
    ]
    // the last layer, here the only one, multiplies all tokens for the attention, and after it the first of each example
    const rowsOf = (module: number): number => (module < 3 ? tokens : batchSize)
    // Frozen products run forward, and backward except into the embeddings. Adapters run A x and B z forward, and twice that backward, except for
    // x̄ of the first three.
    const frozen = modules.reduce((sum, [d = 0, k = 0], module) => sum + (module < 3 ? 1 : 2) * 2 * rowsOf(module) * d * k, 0)
    const adapters = modules.reduce((sum, [d = 0, k = 0], module) => sum + 3 * 2 * rowsOf(module) * rank * (d + k), 0)
    const attention = 2 * 2 * batchSize * sequence * sequence * h
    const head = 2 * batchSize * (h * h + 2 * h)
    expect(result.lora.operations).toBe(frozen + adapters - 3 * 2 * tokens * rank * h + 3 * attention + 3 * head)
    // recomputed: everything in the layer once more
    const [frozenForward, adaptersForward] = [1, rank].map((r) =>
      modules.reduce((sum, [d = 0, k = 0], module) => sum + 2 * rowsOf(module) * (r === 1 ? d * k : r * (d + k)), 0),
    ) as [number, number]
    expect((await measured('--gradient-checkpointing')).lora.operations - result.lora.operations).toBe(
      frozenForward + adaptersForward + attention,
    )
    for (const { milliseconds, gigaflops, share, operations } of [result.lora, result.salora]) {
      expect(gigaflops).toBeCloseTo(operations / milliseconds / 1e6, 9)
      expect(share).toBeCloseTo(gigaflops / result.product.gigaflops, 9)
    }
    expect(result.product.gigaflops).toBeCloseTo((4 * 2 * tokens * h * i) / result.product.milliseconds / 1e6, 9)
    expect(result.ratio).toBeCloseTo(result.salora.milliseconds / result.lora.milliseconds, 9)
    expect(result.residentBytes).toBeGreaterThan(1e7)
  })
})

type Measured = {
  readonly product: { readonly gigaflops: number; readonly milliseconds: number }
  readonly lora: Rate
  readonly salora: Rate
  readonly ratio: number
  readonly residentBytes: number
}
type Rate = { readonly milliseconds: number; readonly gigaflops: number; readonly share: number; readonly operations: number }

describe('salora doctor', () => {
  it('tests the three devices, and prints how to get those that do not work', async () => {
    const { code, stdout } = await salora(['doctor', '--json', '--quiet'], { cwd: tmpdir() })
    expect(code).toBe(0)
    const { devices, versions, auto } = JSON.parse(stdout) as {
      devices: { device: string; works: boolean; remedy: string | null }[]
      versions: Record<string, string>
      auto: unknown
    }
    expect(devices.map(({ device }) => device)).toEqual(['cpu', 'webgpu', 'cuda'])
    for (const { works, remedy } of devices) expect(remedy === null).toBe(works)
    expect(versions['node']).toBe(process.versions.node)
    expect(auto).toBe(devices.find(({ device, works }) => device === 'cuda' && works)?.device ?? 'cpu')
    expect((await salora(['doctor', '--quiet'], { cwd: tmpdir() })).stdout).toContain(`\nauto      ${String(auto)}\n`)
  })
})

describe('salora verify', () => {
  it('succeeds on the CPU, and prints the worst difference of each quantity by method and loss, and its bound', async () => {
    const { code, stdout } = await salora(['verify', '--device', 'cpu', '--cases', '1', '--seed', '3', '--quiet'], { cwd: tmpdir() })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^precision +method +loss +values +gradients +10 steps +run +adapter +bound\n/)
    const number = String.raw` +\d\.\de[+-]\d+`
    expect(stdout).toMatch(new RegExp(`\nfloat32 +salora +(classification|regression)${number.repeat(5)} +1e-4  holds\n`))
    for (const line of [
      'full +classification',
      'lora, DoRA +classification',
      'lora +embeddings, ranking',
      'lora +kto',
      'prompt +classification',
    ])
      expect(stdout).toMatch(new RegExp(`\nfloat32 +${line}${number.repeat(2)}( +–){3} +1e-4  holds\n`))
    expect(stdout).toMatch(/\nall \d+ comparisons hold for 1 encoder and 1 decoder on cpu in float32/)
    expect(stdout).not.toContain('levels')
    expect(stdout).not.toContain('FAILS')
  })

  it('succeeds in int8, and prints how many values float32 rounded across a boundary between levels', async () => {
    const args = ['verify', '--device', 'cpu', '--precision', 'int8', '--cases', '1', '--quiet']
    const [table, json] = [await salora(args, { cwd: tmpdir() }), await salora([...args, '--json'], { cwd: tmpdir() })]
    expect([table.code, json.code]).toEqual([0, 0])
    const { rows, precision } = JSON.parse(json.stdout) as { rows: readonly { size: number; across?: number }[]; precision: string }
    const rounded = rows.filter(({ across }) => across !== undefined)
    const [values, across] = [rounded.reduce((sum, { size }) => sum + size, 0), rounded.reduce((sum, row) => sum + (row.across ?? 0), 0)]
    expect(precision).toBe('int8')
    expect(values).toBeGreaterThan(10_000)
    expect(table.stdout.replaceAll(',', '')).toContain(
      `\n${across} of ${values} values were at a boundary between two levels and rounded to its other side`,
    )
    expect(table.stdout).toMatch(/\nint8 +lora +choice +\S+e[+-]\d+ +\S+e[+-]\d+( +–){3} +1e-4 {2}holds\n/)
    expect(table.stdout).toMatch(/ hold for 1 encoder and 1 decoder on cpu in int8/)
  })
})
