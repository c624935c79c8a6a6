/** Whole steps on an int4 base: the reference quantizes the matrices itself, and agrees within float32's bound in values, gradients and ten steps. */
import { describe, expect, it } from 'vitest'
import { compareRun } from '../../evaluation/agreement/compareRun.js'
import { compareStep, compareSteps } from '../../evaluation/agreement/compareSteps.js'
import { drawDecoder, drawModel } from '../../evaluation/agreement/drawModel.js'
import { drawDecoderOptions, drawOptions } from '../../evaluation/agreement/verify.js'
import { atFourBits } from '../../evaluation/agreement/int8Rounding.js'
import type { Model } from '../../evaluation/agreement/drawModel.js'
import type { Row } from '../../evaluation/agreement/rows.js'
import { int4Linear, int8Linear, objective, quantizeFourBits, tensor, type ModelConfig } from '../../reference/index.js'
import { SEED } from '../support/seed.js'
import { disagreements, someDecoder, someOptions } from './modelOptions.js'

const int4 = { device: 'cpu', precision: 'int4' } as const
const agrees = (rows: readonly Row[]): void => expect(disagreements(rows)).toEqual([])
const stepsAgree = async (model: Model<ModelConfig>): Promise<void> => {
  agrees(await compareStep(model, int4, 'sampled'))
  agrees(await compareSteps(model, int4, 10))
}

describe(`steps on an int4 base (seed ${SEED})`, () => {
  it.each([0, 1, 2])('have the same values and gradients, and after ten the same state, in encoder and decoder %i', async (number) => {
    await stepsAgree(drawModel(drawOptions(SEED, number)))
    await stepsAgree(drawDecoder(drawDecoderOptions(SEED, number)))
  })

  it('lead through gates and retention to the same adapter and predictions', async () => {
    const rows = await compareRun(drawModel(someOptions({ layers: 2, rank: 3 })), int4, {
      retain: 'budget',
      gateAfter: 'soft',
      density: 0.5,
    })
    agrees(rows)
  })

  it('report every matrix and its other factor, in both directions', async () => {
    const rows = await compareStep(drawDecoder(someDecoder()), int4)
    const names = rows.filter(({ across }) => across !== undefined).map(({ quantity }) => quantity)
    for (const of of ['weight', 'x', 'yBar']) expect(names, of).toContain(`levels of layers.0.mlp.down_proj.${of}`)
  })

  it("are neither float32's nor int8's: without their levels the reference exceeds the bound", () => {
    const model = drawModel(someOptions())
    const noise = model.noiseAt(model.parameters.adapters, 0)
    const lossWith = (options: Parameters<typeof objective>[3]): number =>
      objective(model.config, model.settings, model.base, options)(model.parameters, model.batch, noise, model.control).taskLoss
    const [exact, eight, four] = [lossWith({}), lossWith({ frozenLinear: int8Linear() }), lossWith({ frozenLinear: int4Linear() })]
    expect(Math.abs(four / exact - 1)).toBeGreaterThan(1e-3)
    expect(Math.abs(four / eight - 1)).toBeGreaterThan(1e-3)
  })
})

describe('the reference for four bits', () => {
  const W = tensor([1, 4], [-120, 14.9, 40, 5])
  const own = quantizeFourBits(W)

  it('takes reported levels of no larger error', () => {
    const { levels, rounded } = atFourBits('W', W, [...own.levels.data], 1e-4)
    expect(levels).toMatchObject({ difference: 0, across: 0, size: 4 })
    expect([...rounded.levels.data]).toEqual([...own.levels.data])
  })

  it.each([
    ['one q further from the matrix', [-120, 30, 45, 0]],
    ['no common k, though nearer', [-120, 15, 40, 5]],
    ['values that are no levels', [-120, 15.4, 45, 0]],
    ['too few values', [-120, 15, 45]],
    ['no number', [-120, NaN, 45, 0]],
  ])('fails on %s', (_, reported) => {
    const fit = atFourBits('W', W, reported, 1e-4)
    expect(fit.levels?.difference).toBeGreaterThan(1e-4)
  })
})
