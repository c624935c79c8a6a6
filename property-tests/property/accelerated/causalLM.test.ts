/** The loss of a language model as the graph has it: its largest tensors, its feeds, and its answers by example. */
import fc from 'fast-check'
import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { toOnnx } from '../../../accelerated/graph/onnx.js'
import { input, logSoftmax, logSumExp } from '../../../accelerated/graph/operators.js'
import { decoderModel } from '../../../accelerated/models/llama/llama.js'
import { packBatch } from '../../../accelerated/models/packing.js'
import { causalLM, type TextExample } from '../../../accelerated/objectives/causalLM.js'
import { unlabeled } from '../../../accelerated/objectives/labeledTokens.js'
import { findDevice } from '../../../accelerated/engines/devices/findDevice.js'
import { noWeights } from '../../../accelerated/engines/engine.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { openPredictor } from '../../../accelerated/training/prediction.js'
import { uniforms } from '../../../accelerated/parameters/random.js'
import { stepGraph } from '../../../accelerated/training/stepGraph.js'
import { drawDecoder } from '../../../evaluation/agreement/drawModel.js'
import { buildAssembly, decoderSizes, buildInitialState, openRuntime } from '../../../evaluation/agreement/acceleratedSide.js'
import { toTexts } from '../../../evaluation/agreement/convert.js'
import { causalLoss, buildModel, adapterScale } from '../../../reference/index.js'
import { someDecoder } from '../../agreement/modelOptions.js'
import { decoderConfig } from '../../support/plainDecoder.js'
import { assertClose } from '../../support/assertClose.js'
import { readModel } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const config = {
  ...decoderConfig,
  ...{ vocabularySize: 50_000, hiddenSize: 16, heads: 2, keyValueHeads: 2, headSize: 8, intermediateSize: 24, maxPositions: 64 },
  rotaryBase: 10_000,
} as const

const texts = fc
  .array(fc.array(fc.option(fc.nat(30), { nil: unlabeled }), { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 6 })
  .map((all) => all.map((targets, row): TextExample => ({ inputIds: targets.map((_, i) => i), targets, row })))
  .filter((all) => all.some(({ targets }) => Array.from(targets).some((target) => target !== unlabeled)))

describe(`the loss of a language model (seed ${SEED})`, () => {
  it("has the vocabulary's width only in logits of a quarter of the labeled tokens", () => {
    const model = decoderModel(config)
    const tensors = new Map([...model.spec.tensors].map(([name, shape]) => [name, input(name, shape, 'float32')]))
    const frozen = (name: string) => tensors.get(name) ?? expect.fail(`no tensor ${name}`)
    const method = findMethod('lora')
    const settings = resolveSettings({ method: 'lora' })
    const assembly = { model, frozen, method, settings, objective: causalLM(model), precision: findPrecision('float32') }
    const { outputs } = stepGraph(assembly, method.phases.start(model.spec, settings), 'whole')
    const wide = topologicalOrder(Object.values(outputs)).filter(({ shape }) => shape.includes(config.vocabularySize))
    const [tables, made] = [wide.filter(({ op }) => op === 'Input'), wide.filter(({ op }) => op !== 'Input')]
    expect(tables.map(({ shape }) => shape)).toEqual([[config.vocabularySize, config.hiddenSize]]) // the words themselves
    expect(made.length).toBeGreaterThan(0)
    for (const { op, shape } of made) expect(shape, op).toEqual(['labeled', config.vocabularySize])
  })

  it('feeds every labeled token once, with its own label and weight 1, and fills the last slice with weight 0', () =>
    fc.assert(
      fc.property(texts, (examples) => {
        const prepared = causalLM(decoderModel(config)).prepare(examples, { seed: 0, step: 0 })
        const packed = packBatch(examples, 0, 'float64')
        const feeds = prepared.feeds(packed, prepared.weight, 'float64')
        const at = (name: string): readonly number[] => Array.from(feeds[name]?.data ?? [], Number)
        const actual = [0, 1, 2, 3].flatMap((i) =>
          at(`rowWeights${i}`).flatMap((weight, row, { length }) =>
            weight === 0 ? [] : [[at('tokenOfRow')[i * length + row], at(`labels${i}`)[row], weight]],
          ),
        )
        const expected = examples.flatMap(({ targets }, i) =>
          Array.from(targets).flatMap((target, j) => (target === unlabeled ? [] : [[(packed.firstTokens[i] ?? 0) + j, target, 1]])),
        )
        expect(actual).toEqual(expected)
        expect(prepared.weight).toBe(expected.length)
        expect(new Set([0, 1, 2, 3].map((i) => at(`rowWeights${i}`).length)).size).toBe(1)
      }),
      { seed: SEED, numRuns: 60 },
    ))

  it('is exact to 1e-5 over fifty thousand words in float32', async () => {
    const [rows, words] = [3, 50_000]
    const x = Float32Array.from(uniforms(SEED, 'order', 0, rows * words), (u) => 20 * (u - 0.5))
    const session = await findDevice('cpu')
      .engine({ threads: 1 })
      .open({ y: logSumExp(input('x', [rows, words], 'float32')) }, noWeights)
    const { y } = await session.run({ x: { data: x, shape: [rows, words] } }).finally(session.release)
    for (let row = 0; row < rows; row++) {
      const logits = x.subarray(row * words, (row + 1) * words)
      const exact = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0))
      expect(Math.abs(Number(y?.[row]) - exact)).toBeLessThan(1e-5)
    }
  })

  it('is exact to 1e-5 over fifty thousand logits up to ±80, by the operators that WebGPU has', async () => {
    const [rows, words] = [3, 50_000]
    const x = Float32Array.from(uniforms(SEED, 'order', 0, rows * words), (u) => 160 * (u - 0.5))
    const logits = input('x', [rows, words], 'float32')
    const bytes = toOnnx({ y: logSumExp(logits), logs: logSoftmax(logits) }, findDevice('webgpu').target)
    expect(readModel(bytes).node.map(({ opType }) => opType)).not.toContain('LogSoftmax')
    const session = await ort.InferenceSession.create(bytes)
    const { y, logs } = await session.run({ x: new ort.Tensor('float32', x, [rows, words]) })
    await session.release()
    for (let row = 0; row < rows; row++) {
      const numbers = x.subarray(row * words, (row + 1) * words)
      const exact = Math.log(numbers.reduce((sum, value) => sum + Math.exp(value), 0))
      const bound = 2 ** -17 // one unit in the last place of numbers from 64 to 128
      expect(Math.abs(Number(y?.data[row]) - exact)).toBeLessThanOrEqual(bound)
      const errors = numbers.map((value, i) => Math.abs(Number(logs?.data[row * words + i]) - (value - exact)))
      expect(errors.reduce((a, b) => Math.max(a, b))).toBeLessThanOrEqual(3 * bound)
    }
  })

  it("answers with the mean of each example, which equals the reference's", async () => {
    const model = drawDecoder(someDecoder({ lengths: [5, 2, 7, 3] }))
    const assembly = buildAssembly(model, 'float64')
    const target = { device: 'cpu', precision: 'float64' } as const
    const state = buildInitialState(model, 'open', 'float64')
    const decoder = decoderModel({ ...decoderSizes(model.config), maxPositions: config.maxPositions })
    const predictor = await openPredictor(
      { ...assembly, objective: causalLM(decoder) },
      causalLM(decoder),
      state.phase,
      openRuntime(target),
    )
    const examples = toTexts(model.batch)
    const answers = await predictor.predict(state.parameters, examples, 3).finally(predictor.release)
    const run = buildModel(model.config, { scale: adapterScale(model.settings) })
    examples.forEach(({ inputIds, targets }, i) => {
      const operands = { base: model.base, adapters: model.parameters.adapters, gates: {}, head: {} }
      const { logits } = run(operands, { inputIds: [Array.from(inputIds)] })
      assertClose([answers[i]?.loss ?? NaN], [causalLoss(logits, Array.from(targets))], { relative: 1e-12, name: `loss of example ${i}` })
      expect(answers[i]?.tokens).toBe(Array.from(targets).filter((one) => one !== unlabeled).length)
    })
  })
})
