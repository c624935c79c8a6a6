/** The scale of a regression's scores, against closed forms. The head of files must answer as the trained head does, in the scores' unit. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { headInFiles, representable, fitScoreScale, toScaled, toUnit } from '../../../accelerated/objectives/sequenceClassification.js'
import { parseConfigFile } from '../../../accelerated/checkpoints/configFile.js'
import { outputTensors } from '../../../accelerated/models/modelOutputs.js'
import { tinyConfig } from '../../cli/tinyModel.js'

const finite = (bound: number) => fc.double({ min: -bound, max: bound, noNaN: true })
const scores = fc.array(finite(100), { minLength: 2, maxLength: 40 }).filter((ys) => Math.max(...ys) - Math.min(...ys) > 1e-3)

describe('the scale of scores', () => {
  it('is their mean and standard deviation: scaled scores have mean 0 and mean square 1, and come back', () => {
    fc.assert(
      fc.property(scores, (ys) => {
        const scale = fitScoreScale(ys)
        const scaled = ys.map((y) => toScaled(scale, y))
        const mean = (xs: readonly number[]): number => xs.reduce((sum, x) => sum + x, 0) / xs.length
        expect(mean(scaled)).toBeCloseTo(0, 8)
        expect(mean(scaled.map((z) => z * z))).toBeCloseTo(1, 8)
        scaled.forEach((z, i) => expect(toUnit(scale, z)).toBeCloseTo(ys[i] ?? NaN, 9))
      }),
    )
  })

  it('follows a change of the unit', () => {
    fc.assert(
      fc.property(scores, fc.double({ min: 0.01, max: 1000, noNaN: true }), finite(1000), (ys, factor, offset) => {
        const [before, after] = [fitScoreScale(ys), fitScoreScale(ys.map((y) => factor * y + offset))]
        expect(after.mean / (Math.abs(offset) + factor)).toBeCloseTo((factor * before.mean + offset) / (Math.abs(offset) + factor), 6)
        expect(after.deviation / (factor * before.deviation)).toBeCloseTo(1, 5)
      }),
    )
  })

  it('has deviation 1 for equal scores, whatever they are, and no overflow for the largest that a file may have', () => {
    expect(fitScoreScale([0, 0])).toEqual({ mean: 0, deviation: 1 })
    for (const score of [7, 0.1, -1e9]) {
      const { mean, deviation } = fitScoreScale(new Array<number>(7).fill(score))
      expect([mean / score, deviation]).toEqual([expect.closeTo(1, 12), 1])
    }
    expect(fitScoreScale([-1e30, 1e30])).toEqual({ mean: 0, deviation: 1e30 })
  })
})

const llama = { ...tinyConfig, model_type: 'llama', num_key_value_heads: 2, rms_norm_eps: 1e-6, hidden_act: 'silu' }

describe('the head in files', () => {
  const hidden = 16
  const row = fc.array(finite(3), { minLength: hidden, maxLength: hidden })

  it.each([
    ['roberta', tinyConfig, ['classifier.out_proj.weight', 'classifier.out_proj.bias']],
    ['llama, without a bias', llama, ['score.weight']],
  ])('answers the score where the trained head answers the scaled one, and reads back as the trained head: %s', (_, config, names) => {
    const { sequenceHead } = parseConfigFile(JSON.stringify(config), 'config.json').model
    const head = sequenceHead(1)
    const outputs = outputTensors(sequenceHead)
    expect(outputs).toEqual(names)
    const [matrix = '', bias] = names
    fc.assert(
      fc.property(scores, row, row, finite(3), (ys, weights, state, b) => {
        const scale = representable(fitScoreScale(ys), head, outputs)
        const { write, read } = headInFiles(scale, head, outputs)
        const trained = new Map<string, ArrayLike<number>>([
          ['another.weight', [5]],
          [matrix, weights],
          ...(bias === undefined ? [] : [[bias, [b]] as const]),
        ])
        const answer = (tensors: ReadonlyMap<string, ArrayLike<number>>): number =>
          state.reduce((sum, x, i) => sum + x * (tensors.get(matrix)?.[i] ?? NaN), bias === undefined ? 0 : (tensors.get(bias)?.[0] ?? NaN))
        const inFile = write(trained)
        expect(answer(inFile)).toBeCloseTo(toUnit(scale, answer(trained)), 6)
        expect([...read(inFile)].map(([name, data]) => [name, [...Array.from(data)].map((x) => expect.closeTo(x, 9) as unknown)])).toEqual(
          [...trained].map(([name, data]) => [name, Array.from(data)]),
        )
        if (bias === undefined)
          expect(scale).toEqual({
            mean: 0,
            deviation: expect.closeTo(Math.sqrt(ys.reduce((sum, y) => sum + y * y, 0) / ys.length), 9) as number,
          })
      }),
    )
  })
})
