/** The precision mixed: its float16 weights and its refusals. mixedOnGpu.test.ts trains in it. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ModelFolder, openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { cuda, nativeDevice, webgpu } from '../../../accelerated/engines/devices/device.js'
import { cast } from '../../../accelerated/graph/operators.js'
import { matchHalf } from '../../../accelerated/graph/quantizedOperators.js'
import { float32 } from '../../../accelerated/precisions/index.js'
import { int8 } from '../../../accelerated/precisions/int8/int8.js'
import { mixed } from '../../../accelerated/precisions/mixed.js'
import { checkDevice, openFrozen } from '../../../accelerated/precisions/precision.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { runJob } from '../../cli/jobRun.js'
import { toyFolder } from '../../cli/toyFolder.js'

const root = toyFolder('mixed')
const at = (...path: readonly string[]): string => join(root, ...path)
const flags = (method: string, more: Readonly<Record<string, string>> = {}) => ({
  model: at('tiny'),
  task: at('toy.tsv'),
  maxSteps: '4',
  batchSize: '4',
  maxLength: '16',
  device: 'webgpu',
  output: at(`run-${method}`),
  method,
  precision: 'mixed',
  ...more,
})

describe('the weights of mixed', () => {
  it("are in float16 for the layers' matrices: as in the file, or rounded once", async () => {
    const [small, embedded] = [await openModelFolder(at('tiny')), await openModelFolder(embeddedModel)]
    for (const [base, stored] of [
      [small, false],
      [embedded, true],
    ] as const) {
      const { tensor } = await openFrozen(mixed, base)
      const plain = (await openFrozen(float32, base)).tensor
      const matrices = new Set(base.model.spec.matrices.map(({ name }) => `${name}.weight`))
      for (const name of base.frozen.keys()) {
        const half = matchHalf(tensor(name))
        expect(tensor(name).dtype).toBe('float32')
        if (!matrices.has(name)) expect(half === null || half.op === 'Weight', name).toBe(true)
        else if (stored) expect(half, name).toMatchObject({ op: 'Weight', dtype: 'float16' })
        else expect(half, name).toEqual(cast(plain(name), 'float16'))
      }
    }
  })

  it('take half of the bytes of float32 for matrices', async () => {
    const base = await openModelFolder(at('tiny'))
    const matrices = base.model.spec.matrices.reduce((sum, { d, k }) => sum + d * k, 0)
    expect(float32.weightBytes(base) - mixed.weightBytes(base)).toBe(2 * matrices)
  })
})

describe('mixed where it cannot work', () => {
  it('mixed is refused in one line on a CPU, which has no products in float16', async () => {
    await expect(runJob(flags('lora', { device: 'cpu', output: at('on-cpu') }))).rejects.toMatchObject({
      setting: 'precision',
      expected: 'float32 on this device',
      got: 'mixed on cpu',
    })
    expect(await readdir(root)).not.toContain('on-cpu')
    for (const target of [webgpu.target, cuda.target]) expect(mixed.runsOn?.(target)).toBe(true)
  })

  it('mixed is refused in one line on a GPU whose driver has no float16 arithmetic', async () => {
    const lacking = nativeDevice({
      ...webgpu,
      name: 'gpu',
      provider: { name: 'nothing of that name' },
      preallocatedOutputs: false,
      remedy: '',
    })
    await expect(checkDevice(mixed, lacking)).rejects.toThrow(
      /^precision: expected float32, since this device has no arithmetic for mixed, got gpu: [^\n]+$/,
    )
  })

  it('mixed is refused in one line with the method full, which freezes nothing', async () => {
    const base = await openModelFolder(at('tiny'))
    const trained = new Set(base.model.spec.matrices.map(({ name }) => `${name}.weight`))
    expect(() => mixed.check?.(trained, base, 'full')).toThrow(/float32 with method full/)
  })
})

/** A model with `count` matrices of [d, d] and a vector of 10 numbers. */
const modelOf = (count: number, d: number) => {
  const matrices = Array.from({ length: count }, (_, i) => ({ name: `m${i}`, d, k: d }))
  const frozen = new Map<string, { readonly shape: readonly number[] }>(matrices.map(({ name }) => [`${name}.weight`, { shape: [d, d] }]))
  frozen.set('bias', { shape: [10] })
  return { model: { spec: { matrices } }, frozen } as unknown as Pick<ModelFolder, 'model' | 'frozen'>
}

it.each([
  [2, 16, 2],
  [2, 2 ** 14, 1], // 2²⁹ levels: each matrix is in one orientation only
  [1, 2 ** 14, 2],
])('%i matrices of %i² numbers have %i bytes a number in int8, and two in mixed', (count, d, ofLevels) => {
  const numbers = count * d * d
  const base = modelOf(count, d)
  expect([int8.weightBytes(base), mixed.weightBytes(base)]).toEqual([ofLevels * numbers + 40, 2 * numbers + 40])
})
