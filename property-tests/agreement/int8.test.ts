/**
 * Whole steps on an int8 base: the reference against the production graph. The reference follows the accelerated path only where a value is at a
 * boundary between two levels. The bound of everything is float32's.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareRun } from '../../evaluation/agreement/compareRun.js'
import { compareStep, compareSteps } from '../../evaluation/agreement/compareSteps.js'
import { atLevels, roundedOperands } from '../../evaluation/agreement/int8Rounding.js'
import type { Model } from '../../evaluation/agreement/drawModel.js'
import { drawDecoder, drawModel } from '../../evaluation/agreement/drawModel.js'
import type { Row } from '../../evaluation/agreement/rows.js'
import {
  buildAssembly,
  buildFeeds,
  openStep,
  phaseIn,
  runStep,
  buildInitialState,
  layoutFor,
  openRuntime,
} from '../../evaluation/agreement/acceleratedSide.js'
import { constant, input, selectRows } from '../../accelerated/graph/operators.js'
import { dequantize, quantizedMatMul, matchQuantized } from '../../accelerated/graph/quantizedOperators.js'
import { rowSelection } from '../../accelerated/models/batchInputs.js'
import { selectionFeeds } from '../../accelerated/models/packing.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { int8Linear, objective, quantizeRows, roundRows, tensor, type ModelConfig } from '../../reference/index.js'
import { evenlyMany } from '../support/arbitraries/graphNumbers.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, float32, resultOf } from '../support/runGraph.js'
import { SEED } from '../support/seed.js'
import { decoderOptions, disagreements, modelOptions, someDecoder, someOptions } from './modelOptions.js'

const int8 = { device: 'cpu', precision: 'int8' } as const
const agrees = (rows: readonly Row[]): void => expect(disagreements(rows)).toEqual([])
const stepsAgree = async (model: Model<ModelConfig>, gating: 'sampled' | 'open' = 'sampled'): Promise<void> => {
  agrees(await compareStep(model, int8, gating))
  agrees(await compareSteps(model, int8, 10))
}
const levelsIn = (rows: readonly Row[]): readonly Row[] => rows.filter(({ across }) => across !== undefined)
/** A stream of one number has a norm without a gradient: all that comes back is what float32 leaves of it. */
const widerDecoders = decoderOptions.filter(({ heads, headSize }) => heads * headSize > 2)

describe(`steps on an int8 base (seed ${SEED})`, () => {
  it('have the same values and gradients, and after ten the same state, in an encoder', () =>
    fc.assert(
      fc.asyncProperty(modelOptions, (options) => stepsAgree(drawModel(options))),
      { seed: SEED + 3, numRuns: 5 },
    ))

  it('have the same values and gradients, and after ten the same state, in a decoder', () =>
    fc.assert(
      fc.asyncProperty(widerDecoders, (options) => stepsAgree(drawDecoder(options))),
      { seed: SEED + 3, numRuns: 5 },
    ))

  it('agree without gates', async () => {
    await stepsAgree(drawModel(someOptions({ layers: 2 })), 'open')
    await stepsAgree(drawDecoder(someDecoder()), 'open')
  })

  it('lead through gates and retention to the same adapter and predictions', async () => {
    const rows = await compareRun(drawModel(someOptions({ layers: 2, rank: 3 })), int8, {
      retain: 'budget',
      gateAfter: 'soft',
      density: 0.5,
    })
    agrees(rows)
    const parts = levelsIn(rows).map(({ part, quantity }) => `${part} ${quantity}`)
    expect(parts).toEqual(expect.arrayContaining(['run', 'adapter'].map((part) => `${part} levels of encoder.layer.1.output.dense.x`)))
  })

  it('round every matrix and its other factor, in both directions, except below the lowest adapter', async () => {
    const reportedNames = async (model: Model<ModelConfig>): Promise<readonly string[]> => {
      const rows = levelsIn(await compareStep(model, int8))
      for (const { size, reference, quantity } of rows) expect(size > 0 && reference !== 0, quantity).toBe(true)
      return rows.map(({ quantity }) => quantity.replace('levels of ', '')).sort()
    }
    const expectedNames = (modules: readonly string[], lowest: readonly string[]): readonly string[] =>
      modules.flatMap((module) => ['weight', 'x', ...(lowest.includes(module) ? [] : ['yBar'])].map((of) => `${module}.${of}`)).sort()
    const [encoder, decoder] = [drawModel(someOptions({ layers: 2 })), drawDecoder(someDecoder())]
    const below = (names: readonly string[]): readonly string[] =>
      names.filter((name) => /layers?\.0\.(attention\.self|self_attn\.[qkv])/.test(name))
    for (const model of [encoder, decoder]) {
      const modules = Object.keys(model.parameters.adapters)
      expect(await reportedNames(model)).toEqual(expectedNames(modules, below(modules)))
    }
  })

  it("report the given rows: in an encoder's last layer, the first of each example", async () => {
    const model = drawModel(someOptions())
    const rows = await compareStep(model, int8)
    const sizeOf = (of: string): number => rows.find(({ quantity }) => quantity === `levels of encoder.layer.0.${of}`)?.size ?? NaN
    const [batch, tokens] = [model.batch.inputIds.length, model.batch.inputIds.flat().length]
    expect(sizeOf('attention.self.key.x')).toBe(tokens * 6)
    expect([sizeOf('intermediate.dense.x'), sizeOf('intermediate.dense.yBar')]).toEqual([batch * 6, batch * 7])
  })

  it('are not floating-point steps: without their levels the reference exceeds the bound', () => {
    for (const model of [drawModel(someOptions()), drawDecoder(someDecoder())]) {
      const noise = model.noiseAt(model.parameters.adapters, 0)
      const of = (options: Parameters<typeof objective>[3]) =>
        objective(model.config, model.settings, model.base, options)(model.parameters, model.batch, noise, model.control)
      const [exact, rounded] = [of({}), of({ frozenLinear: int8Linear() })]
      expect(Math.abs(exact.taskLoss / rounded.taskLoss - 1)).toBeGreaterThan(2e-4)
      expect(Math.abs(exact.taskLoss / rounded.taskLoss - 1)).toBeLessThan(5e-2)
    }
  })

  it("are the production graph's, bit by bit, with or without reported levels", async () => {
    const model = drawModel(someOptions({ layers: 2 }))
    const state = buildInitialState(model, 'sampled', 'float32')
    const [phase, noise] = [phaseIn(state), model.noiseAt(model.parameters.adapters, 0)]
    const plain = await openRuntime(int8).engine.open(stepGraph(buildAssembly(model, 'int8'), phase, 'whole').outputs, noWeights)
    const reporting = await openStep(model, phase, 'whole', int8)
    const run = (session: typeof plain) =>
      runStep(session, layoutFor(model, phase), state, buildFeeds(model, phase, noise, 1, 1, 'int8'), 'float32').finally(session.release)
    const [withoutReport, withReport] = [await run(plain), await run(reporting)]
    expect(withReport.state).toEqual(withoutReport.state)
    expect(Object.keys(withReport.results).length).toBeGreaterThan(Object.keys(withoutReport.results).length)
  })
})

describe('a graph that rounds', () => {
  it('reports rounded rows at their positions, also for several selections, and zeros elsewhere', async () => {
    const [k, rows] = [3, 5]
    const levels = constant([1, 2, 3, 4, 5, 6], [2, k], 'int8')
    const W = dequantize({ levels, transposed: constant([1, 4, 2, 5, 3, 6], [k, 2], 'int8'), scales: constant([1, 2], [2], 'float32') })
    const x = input('x', ['tokens', k], 'float32')
    const part = (of: string) => {
      const { index, inverse } = rowSelection(`rows${of}`, of)
      return quantizedMatMul(selectRows(x, index, inverse, { partial: true }), matchQuantized(W)!)
    }
    const outputs = { first: part('0'), second: part('1') }
    const operands = roundedOperands(outputs, () => W, ['module'])
    const drawn = tensor([rows, k], fc.sample(evenlyMany(-2, 2)(rows * k), { seed: SEED, numRuns: 1 })[0]!.map(Math.fround))
    const results = await evaluate(
      { ...outputs, ...operands },
      { x: float32(drawn.data, [rows, k]), ...selectionFeeds([4, 1], rows, '0'), ...selectionFeeds([0], rows, '1', 2) },
    )
    expect(Object.keys(operands)).toEqual(['rounded module.x'])
    const kept = roundRows(drawn).data.map((value, i) => ([0, 1, 4].includes(Math.floor(i / k)) ? value : 0))
    assertClose(resultOf(results, 'rounded module.x'), kept, { relative: 1e-6 })
  })
})

describe('the reference for int8 levels', () => {
  const x = tensor([1, 4], [127, 2.499999, -3.2, 60])

  it('the reference follows int8 to the nearest level, and across a boundary if a value is at it', () => {
    const { rounded, levels } = atLevels('x', x, [127, 3, -3, 60], 1e-4)
    expect([...rounded.levels.data]).toEqual([127, 3, -3, 60])
    expect(levels).toMatchObject({ size: 4, across: 1, index: 1, reference: 2.499999, accelerated: 3 })
    expect(levels?.difference).toBeLessThan(1e-8)
  })

  it('the reference follows only to the nearest level: one level further the comparison fails, and it keeps its own', () => {
    const { rounded, levels } = atLevels('x', x, [127, 2, -4, 60], 1e-4)
    expect([...rounded.levels.data]).toEqual([127, 2, -3, 60])
    expect(levels).toMatchObject({ across: 1, index: 2, accelerated: -4 })
    expect(levels?.difference).toBeCloseTo(0.3 / 127, 12)
    expect(atLevels('x', x, [127, NaN, -3, 60], 1e-4).levels?.difference).toBe(Infinity)
    expect(atLevels('x', x, [127, 2, -3], 1e-4).levels?.difference).toBe(Infinity)
    expect(atLevels('x', tensor([1, 2], [0, 0]), [0, 1e-9], 1e-4).levels?.difference).toBe(Infinity)
  })

  it('the reference follows int8 with its own scales, and only the rows that were rounded', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 9 }), evenlyMany(-2, 2)(45), (n, m, numbers) => {
        const drawn = tensor([n, m], numbers.slice(0, n * m))
        const quantized = quantizeRows(drawn)
        const reported = Array.from(quantized.levels.data, (level, i) =>
          Math.floor(i / m) === 0 ? 0 : level * (quantized.scales.data[Math.floor(i / m)] ?? NaN) * (1 + 1e-7),
        )
        const { rounded, levels } = atLevels('x', drawn, reported, 1e-4)
        expect([...rounded.levels.data].map((level) => level + 0)).toEqual([...quantized.levels.data].map((level) => level + 0))
        expect(rounded.scales).toEqual(quantized.scales)
        expect(levels?.size ?? 0).toBeLessThanOrEqual((n - 1) * m)
      }),
      { seed: SEED, numRuns: 50 },
    )
  })
})
