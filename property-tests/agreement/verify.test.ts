/** What `salora verify` runs: every row says what it compared, and a row fails when it must. */
import { describe, expect, it } from 'vitest'
import { findBound } from '../../evaluation/agreement/acceleratedSide.js'
import { verify, type VerifiedRow } from '../../evaluation/agreement/verify.js'
import { devices } from '../../accelerated/engines/devices/index.js'
import { compare, describeRow, findWorst } from '../../evaluation/agreement/rows.js'

describe('verification', () => {
  it.each(['float64', 'float32', 'int8'] as const)('holds on the CPU in %s, for every kind of quantity', async (precision) => {
    const rows: VerifiedRow[] = []
    for await (const row of verify({ device: 'cpu', precisions: [precision], seed: 3, cases: 1 })) rows.push(row)
    const worst = findWorst(rows)
    expect(rows.filter(({ holds }) => !holds).map(describeRow)).toEqual([])
    expect([...new Set(rows.map(({ part }) => part))]).toEqual(['values', 'gradients', 'steps', 'run', 'adapter'])
    const compared = new Set(rows.map(({ method, loss }) => `${method}: ${loss}`))
    const losses = ['classification', 'multi-label', 'regression', 'tokens', 'embeddings, ranking', 'embeddings, similarity']
    const textLosses = ['text', 'choice', 'orpo', 'simpo', 'dpo', 'ipo', 'kto']
    const inFloats = ['full', 'lora, DoRA', 'adalora, R', 'houlsby', 'pfeiffer', 'prefix', 'prompt']
    const methods = ['salora', 'lora', 'lora, rsLoRA', 'adalora', 'ia3', ...(precision === 'int8' ? [] : inFloats)]
    expect([...compared]).toEqual(
      expect.arrayContaining([
        ...methods.map((method) => `${method}: classification`),
        ...[...losses, ...textLosses].map((loss) => `lora: ${loss}`),
        'lora, NEFTune: text',
      ]),
    )
    expect(compared.size).toBe(methods.length + losses.length + textLosses.length + (precision === 'int8' ? 2 : 3)) // full, ia3 and NEFTune with text
    expect(worst.length).toBeLessThan(rows.length / 5)
    expect(rows.some(({ across }) => across !== undefined)).toBe(precision === 'int8')
    expect(Math.max(...worst.map(({ difference }) => difference))).toBe(Math.max(...rows.map(({ difference }) => difference)))
  })

  it('fails a row that is NaN, of another size, not zero where the reference is, or beyond the bound', () => {
    const row = compare('values', 1e-3)
    expect(row('x', [1, 2], [1, 2.001])).toMatchObject({ holds: true, index: 1, reference: 2, accelerated: 2.001 })
    expect(row('x', [1, 2], [1, 2.01])).toMatchObject({ holds: false, index: 1 })
    expect(row('x', [1, 2], [NaN, 2])).toMatchObject({ holds: false, index: 0, difference: Infinity })
    expect(row('x', [1, NaN], [1, NaN]).holds).toBe(false)
    expect(row('x', [1, 2], [1]).holds).toBe(false)
    expect(row('x', [1], [1, 2]).holds).toBe(false)
    expect(row('x', [0, 0], [0, 1e-30]).holds).toBe(false)
    expect(row('x', [0, 0], [0, 0]).holds).toBe(true)
  })

  it('has one bound with its reason for each device and dtype, and none for other dtypes', () => {
    for (const { tolerances } of devices) for (const { because } of Object.values(tolerances)) expect(because.length).toBeGreaterThan(40)
    expect([findBound('cpu', 'float64'), findBound('cpu', 'float32'), findBound('webgpu', 'float32')]).toEqual([1e-9, 1e-4, 1e-3])
    expect(() => findBound('webgpu', 'float64')).toThrow('expected a device that computes in float64, got webgpu')
  })
})
