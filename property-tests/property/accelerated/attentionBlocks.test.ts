/** Attention by blocks of queries against attention of all queries at once: values, gradients, whole steps, predictions, and when it is chosen. */
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkpointNumbers } from '../../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import type { Engine } from '../../../accelerated/engines/engine.js'
import { type Expression, type FloatType, topologicalOrder } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { allocations, findPeak } from '../../../accelerated/graph/liveness.js'
import { concat, expand, input, mul, reduceSum, scalar } from '../../../accelerated/graph/operators.js'
import { batchInputs, planBlocks, longText } from '../../../accelerated/models/batchInputs.js'
import { plainHost, type Host } from '../../../accelerated/models/host.js'
import { attention, causalBias, paddingBias, windowBias } from '../../../accelerated/models/layers/attention.js'
import { packBatch } from '../../../accelerated/models/packing.js'
import { causalLM, type TextAnswer } from '../../../accelerated/objectives/causalLM.js'
import type { Objective, TrainingExample } from '../../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../../accelerated/objectives/sequenceClassification.js'
import { uniforms } from '../../../accelerated/parameters/random.js'
import { openFrozen } from '../../../accelerated/precisions/precision.js'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { assemble, type Assembly } from '../../../accelerated/training/assembly.js'
import { largestBatch, dimensionsInBlocks, forLengths, forSequence } from '../../../accelerated/training/batchFeeds.js'
import { initializeRun } from '../../../accelerated/training/initialState.js'
import { openPhaseSessions } from '../../../accelerated/training/phaseSessions.js'
import { openPredictor } from '../../../accelerated/training/prediction.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { stepGraph } from '../../../accelerated/training/stepGraph.js'
import { train } from '../../../accelerated/training/trainingLoop.js'
import { trainStep } from '../../../accelerated/training/trainStep.js'
import { fixtures } from '../../golden/golden.js'
import { assertClose } from '../../support/assertClose.js'
import { resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: cache } = temporaryFolder('blocks')

const scans = (outputs: Readonly<Record<string, Expression>>): number =>
  topologicalOrder(Object.values(outputs)).filter(({ op }) => op === 'Scan').length

const parts = ['query', 'key', 'value', 'yBar'] as const
const masks = ['padding', 'window', 'causal', 'causal window'] as const

type Case = {
  readonly mask: (typeof masks)[number]
  readonly groups: number
  readonly sharing: number
  readonly cap: number | null
  readonly virtual: number
}

const cases = fc.record<Case>({
  mask: fc.constantFrom(...masks),
  groups: fc.constantFrom(1, 2),
  sharing: fc.constantFrom(1, 3),
  cap: fc.constantFrom(null, 2),
  virtual: fc.constantFrom(0, 2),
})

const headSize = 4

/** Outputs of attention, and its gradients, of inputs `query`, `key` and `value`. */
const graphOf = ({ mask, groups, sharing, cap, virtual }: Case, dtype: FloatType, inBlocks: boolean) => {
  const batch = batchInputs(dtype, inBlocks)
  const bias = {
    padding: () => paddingBias(batch),
    window: () => windowBias(batch, 3),
    causal: () => causalBias(batch, null),
    'causal window': () => causalBias(batch, 4),
  }[mask]()
  const [heads, keyValueHeads] = [groups * sharing, groups]
  const [q, k, v, yBar] = parts.map((part) =>
    input(part, ['tokens', headSize * (part === 'key' || part === 'value' ? keyValueHeads : heads)], dtype),
  ) as [Expression, Expression, Expression, Expression]
  const plain = plainHost(() => expect.fail('attention asks for no tensor'))
  /** Keys and values before those of every text, as prefix tuning has them. */
  const before = (x: Expression): Expression => concat([expand(scalar(0.5, dtype), x.shape.with(2, virtual)), x], 2)
  const host: Host = {
    ...plain,
    keyValue: (_, { key, value, bias: own }) => ({
      key: before(key),
      value: before(value),
      bias: concat([expand(scalar(0, dtype), own.shape.with(3, virtual)), own], 3),
    }),
  }
  const settings = { heads, keyValueHeads, headSize, bias, layer: 'layer', dropout: 0, cap }
  const y = attention(settings, virtual === 0 ? plain : host, batch, q, k, v)
  const [ofQuery, ofKey, ofValue] = gradient(reduceSum(mul(y, yBar)), [q, k, v]) as [Expression, Expression, Expression]
  return { y, ofQuery, ofKey, ofValue }
}

const feedsOf = ({ groups, sharing }: Case, lengths: readonly number[], dtype: FloatType, seed: number, rows: number | null) => {
  const texts = lengths.map((length) => ({ inputIds: new Int32Array(length) }))
  const { feeds, tokens } = packBatch(texts, 0, dtype, undefined, rows)
  const values = parts.map((part, i) => {
    const width = headSize * groups * (part === 'key' || part === 'value' ? 1 : sharing)
    const numbers = uniforms(seed, 'order', i, tokens * width).map((u) => 4 * u - 2)
    return [part, { data: dtype === 'float64' ? Float64Array.from(numbers) : Float32Array.from(numbers), shape: [tokens, width] }] as const
  })
  return { ...feeds, ...Object.fromEntries(values) }
}

describe(`attention by blocks of queries (seed ${SEED})`, () => {
  it.each([
    ['float64', 1e-9],
    ['float32', 1e-5],
  ] as const)('equals attention of all queries in %s, and so do its gradients, to %d', (dtype, relative) =>
    fc.assert(
      fc.asyncProperty(
        cases,
        fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1, maxLength: 3 }),
        fc.constantFrom(1, 4, 5),
        fc.nat(),
        async (of, lengths, rows, seed) => {
          const [whole, blocks] = [graphOf(of, dtype, false), graphOf(of, dtype, true)]
          expect([scans(whole), scans({ y: blocks.y }), scans(blocks)]).toEqual([0, 1, 2])
          const expected = await withGraph(whole, (run) => run(feedsOf(of, lengths, dtype, seed, null)))
          const [first, second] = await withGraph(blocks, async (run) => [
            await run(feedsOf(of, lengths, dtype, seed, rows)),
            await run(feedsOf(of, lengths, dtype, seed, rows)),
          ])
          for (const name of Object.keys(whole)) {
            assertClose(resultOf(first, name), resultOf(expected, name), { relative, absolute: relative, name })
            expect(resultOf(second, name), `${name} again`).toEqual(resultOf(first, name))
          }
        },
      ),
      { seed: SEED, numRuns: 25 },
    ),
  )

  it('holds scores of one block at a time, so that twice the tokens take twice the memory', () => {
    const outputs = graphOf({ mask: 'causal', groups: 3, sharing: 3, cap: null, virtual: 0 }, 'float32', true)
    const peak = (sequence: number): number => findPeak(allocations(outputs, { batch: 1, tokens: sequence, ...planBlocks(sequence) }, true))
    expect(peak(8192) / peak(4096)).toBeLessThan(2.1)
    expect(peak(4096)).toBeLessThan(0.3 * 9 * 4096 ** 2 * 4)
  })

  it('cuts a text into as few blocks as hold it, with less than a slot of padding for each', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 128 }), (sequence, largest) => {
        const { queryBlocks, blockRows, sequence: padded } = planBlocks(sequence, largest)
        expect(queryBlocks).toBe(Math.ceil(sequence / largest))
        expect(blockRows).toBeLessThanOrEqual(largest)
        expect(padded).toBe(queryBlocks * blockRows)
        expect(padded - sequence).toBeGreaterThanOrEqual(0)
        expect(padded - sequence).toBeLessThan(queryBlocks)
      }),
      { seed: SEED },
    ))
})

const engine = cpu.engine({ threads: 1 })

/** A run of a fixture's model on texts of these lengths, without blocks. */
const runOf = async (family: string, given: SettingsInput, lengths: readonly number[]) => {
  const settings = resolveSettings({ method: 'lora', maxSteps: 10, dropout: 0, learningRate: 0.01, warmupRatio: 0, ...given })
  const base = await openModelFolder(join(fixtures, family))
  const [method, precision] = [findMethod(settings.method), findPrecision(settings.precision)]
  const frozen = await openFrozen(precision, base, cache)
  const isCausal = base.model.spec.kind === 'decoder'
  const assembly = assemble(
    { model: base.model, frozen: frozen.tensor, method, settings, precision },
    (model) =>
      (isCausal
        ? causalLM(model)
        : sequenceClassification(model, {
            labels: 2,
            problemType: 'single_label_classification',
          })) as unknown as Objective<TrainingExample>,
  )
  const examples = lengths.map((length, row) => {
    const inputIds = Array.from({ length }, (_, i) => 5 + ((7 * i + 3 * row + (i % 11)) % 20))
    return { inputIds, label: row % 2, row, targets: [...inputIds.slice(1), -100] }
  })
  const state = await initializeRun(assembly, checkpointNumbers(base))
  return { assembly, examples, state, runtime: { engine, weights: frozen.weights } }
}

type Run = Awaited<ReturnType<typeof runOf>>

/** Loss, and gradient (as the first moment has it). No parameter is 0. */
const stepOf = async ({ assembly, examples, state, runtime }: Run, inBlocks: boolean) => {
  const own = { ...assembly, inBlocks }
  const sessions = await openPhaseSessions(own, state.phase, runtime, largestBatch(examples, examples.length, 0))
  const context = { assembly: own, objective: own.objective, progress: { step: 0, steps: 10 }, learningRate: 0.01, spare: null }
  const copy = { ...state, parameters: state.parameters.map((_, i) => 0.1 * Math.cos(i)) }
  const { loss, state: after } = await trainStep(context, sessions, copy, [examples]).finally(sessions.release)
  return { loss: [loss], gradient: after.firstMoment }
}

const stepScans = ({ assembly, state }: Run): number => scans(stepGraph({ ...assembly, inBlocks: true }, state.phase, 'whole').outputs)

/** Families with a table of few positions in their fixtures. */
const longestOf: Readonly<Record<string, readonly number[]>> = { roberta: [11, 4], gpt2: [60, 20] }

describe('a step with attention by blocks', () => {
  it.each(['llama', 'gemma2', 'gpt2', 'modernbert', 'roberta'])(
    'equals a step without, on %s, with gradient checkpointing, in float64',
    async (family) => {
      for (const gradientCheckpointing of family === 'llama' ? [false, true] : [true]) {
        const run = await runOf(family, { precision: 'float64', gradientCheckpointing }, longestOf[family] ?? [150, 40])
        expect(stepScans(run)).toBeGreaterThanOrEqual(2 * run.assembly.model.spec.layers.length)
        const [whole, blocks] = [await stepOf(run, false), await stepOf(run, true)]
        for (const name of ['loss', 'gradient'] as const)
          assertClose(blocks[name], whole[name], { relative: 1e-9, name: `${family} ${name}` })
      }
    },
  )

  it.each(['int8', 'int4', 'float32'] as const)('is near a step without in %s', async (precision) => {
    const run = await runOf('llama', { precision }, [150, 40])
    const [whole, blocks] = [await stepOf(run, false), await stepOf(run, true)]
    const relative = precision === 'float32' ? 1e-5 : 1e-3 // rounding to levels enlarges differences
    assertClose(blocks.loss, whole.loss, { relative, name: 'loss' })
    assertClose(blocks.gradient, whole.gradient, { relative: 100 * relative, name: 'gradient' })
  })

  it.each([
    ['gpt2', { dropout: 0.2 }], // a mask for all probabilities
    ['deberta-v2', {}], // scores by distance
    ['mpnet', {}], // a table of biases by distance
  ] as const)('has the scores of all queries on %s with %o', async (family, settings) => {
    const run = await runOf(family, { precision: 'float64', ...settings }, [11, 4])
    expect(stepScans(run)).toBe(0)
    if (family === 'gpt2') return // its masks would differ
    assertClose((await stepOf(run, true)).gradient, (await stepOf(run, false)).gradient, { relative: 1e-9, name: 'gradient' })
  })
})

describe('long texts', () => {
  const spied = (opened: number[]): Engine => ({
    ...engine,
    open: (outputs, ...more) => {
      opened.push(scans(outputs))
      return engine.open(outputs, ...more)
    },
  })

  const lossesOf = (answers: readonly unknown[]): readonly number[] => answers.map((answer) => (answer as TextAnswer).loss)

  it('a predictor takes attention by blocks for them, and only for them', async () => {
    const { assembly, examples, state, runtime } = await runOf('llama', { precision: 'float64' }, [longText + 100, 30])
    const opened: number[] = []
    const open = (of: Assembly & { readonly objective: Objective<TrainingExample> }) =>
      openPredictor(of, of.objective, state.phase, { ...runtime, engine: spied(opened) })
    const predictor = await open(assembly)
    const short = lossesOf(await predictor.predict(state.parameters, examples.slice(1), 2))
    expect(opened).toEqual([0])
    const long = lossesOf(await predictor.predict(state.parameters, examples, 2))
    expect(opened).toEqual([0, assembly.model.spec.layers.length])
    await predictor.release()
    assertClose(long.slice(1), short, { relative: 1e-9, name: 'the short text' })
    const none = await openPredictor(assembly, assembly.objective, state.phase, { ...runtime, engine: { ...spied(opened), scan: false } })
    const whole = lossesOf(await none.predict(state.parameters, examples, 2))
    await none.release()
    assertClose(long, whole, { relative: 1e-9, name: 'both texts' })
  })

  it('a run trains and evaluates by blocks, in all of its batches', async () => {
    const { assembly, examples, state, runtime } = await runOf(
      'llama',
      { precision: 'float64', maxSteps: 2, batchSize: 1, evalSteps: 2, maxLength: 16 }, // the fixture's table is short
      [longText + 3, 30],
    )
    const losses = async (own: Engine): Promise<readonly number[]> => {
      const score = (answers: readonly unknown[]) => ({ scores: { loss: lossesOf(answers)[0] ?? NaN }, selection: 0, constant: null })
      const task = { ...assembly, runtime: { ...runtime, engine: own }, training: examples, evaluation: examples.slice(1), score }
      const found: number[] = []
      for await (const event of train(task, structuredClone(state), null, new AbortController().signal)) {
        if (event.kind === 'step') found.push(event.loss)
        if (event.kind === 'evaluation') found.push(event.scores['loss'] ?? NaN)
      }
      return found
    }
    const opened: number[] = []
    const layers = assembly.model.spec.layers.length
    const inBlocks = await losses(spied(opened))
    expect(inBlocks.length).toBe(3)
    expect(opened).toEqual([2 * layers, 0]) // the evaluation's text is short
    assertClose(inBlocks, await losses({ ...engine, scan: false }), { relative: 1e-9, name: 'losses' })
  })

  it('begin at a number of tokens, virtual ones included, on engines that can', async () => {
    const { assembly, examples } = await runOf('llama', { method: 'prompt', numVirtualTokens: 8 }, [longText - 8, 3])
    const shorter = examples.map((example) => ({ ...example, inputIds: example.inputIds.slice(1) }))
    expect(forLengths(assembly, examples, engine).inBlocks).toBe(true)
    expect(forLengths(assembly, shorter, engine)).toBe(assembly)
    expect(forLengths(assembly, examples, {})).toBe(assembly)
    expect(forSequence(assembly, longText, engine).inBlocks).toBe(true)
    expect(forSequence(assembly, longText - 1, engine)).toBe(assembly)
    const sizes = { batch: 2, tokens: longText + 2, sequence: longText + 1 }
    expect(dimensionsInBlocks(assembly, sizes)).toBe(sizes)
    expect(dimensionsInBlocks({ inBlocks: true }, sizes)).toEqual({ ...sizes, ...planBlocks(longText + 1) })
  })
})
