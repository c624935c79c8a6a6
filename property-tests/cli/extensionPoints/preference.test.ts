/** A preference loss is one file: its objective asks for the adapted model and for the base model, on two texts an example. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Objective } from '../../../accelerated/objectives/objective.js'
import { noWeights, type Session } from '../../../accelerated/engines/engine.js'
import type { RunState } from '../../../accelerated/parameters/runState.js'
import { zeros, type Vector } from '../../../accelerated/parameters/vectors.js'
import { batchFeeds } from '../../../accelerated/training/batchFeeds.js'
import { openPredictor } from '../../../accelerated/training/prediction.js'
import { methodOf, resolveSettings } from '../../../accelerated/training/settings.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../../accelerated/training/stepGraph.js'
import { trainStep } from '../../../accelerated/training/trainStep.js'
import { openPhaseSessions } from '../../../accelerated/training/phaseSessions.js'
import { toTexts } from '../../../evaluation/agreement/convert.js'
import { assemblyOf, startOf } from '../../../evaluation/agreement/acceleratedSide.js'
import { runtimeOf } from '../../../evaluation/agreement/target.js'
import { drawDecoder } from '../../../evaluation/agreement/drawModel.js'
import { modelOf, scaleOf } from '../../../reference/index.js'
import { someDecoder } from '../../agreement/modelOptions.js'
import { assertClose } from '../../support/assertClose.js'
import { preference, preferenceExample } from './preference.js'

const beta = 0.3
const dtype = 'float64'
const runtime = runtimeOf({ device: 'cpu', precision: dtype })

/** A tiny decoder with adapters away from 0, and two pairs of texts. No penalty of the method is in the loss. */
const model = drawDecoder(someDecoder({ lengths: [5, 3, 4, 6], beta: 0 }))
const [a, b, c, d] = toTexts(model.batch) as [Text, Text, Text, Text]
type Text = ReturnType<typeof toTexts>[number]
const examples = [preferenceExample(1, a, b), preferenceExample(2, c, d)]
const objective = preference(assemblyOf(model, dtype).model, beta)
const assembly = { ...assemblyOf(model, dtype), objective }
const state = startOf(model, 'open', dtype)
const prepared = objective.prepare(examples, { seed: 0, step: 0 })

const { outputs, layout } = stepGraph(assembly, state.phase, 'add')
let session: Session
beforeAll(async () => {
  session = await runtime.engine.open(outputs, noWeights)
})
afterAll(() => session.release())

/** Loss and gradient of the examples, by the graph. */
const lossAndGradient = async (parameters: Vector): Promise<{ readonly loss: number; readonly gradient: Vector }> => {
  const gradient = zeros(layout.size, dtype)
  const feeds = {
    ...stateFeeds(layout, { ...state, parameters }, dtype),
    ...batchFeeds(assembly, prepared, prepared.weight).feeds,
    ...blockFeeds(layout, 'gradientSum', zeros(layout.size, dtype), dtype),
  }
  const results = await session.run(feeds, resultsInto(layout, { gradientSum: gradient }))
  collect(layout, { gradientSum: gradient }, results)
  return { loss: Number(results['loss']?.[0]), gradient }
}

/** log π(y) of a text by the reference, with adapters or without. */
const logProbability = ({ inputIds, targets }: Text, adapted: boolean): number => {
  const adapters = adapted ? model.parameters.adapters : {}
  const operands = { base: model.base, adapters, gates: {}, head: {} }
  const { logits } = modelOf(model.config, { scale: scaleOf(model.settings) })(operands, { inputIds: [Array.from(inputIds)] })
  const words = logits.shape[1] ?? NaN
  return Array.from(targets).reduce((sum, label, row) => {
    if (label < 0) return sum
    const scores = logits.data.subarray(row * words, (row + 1) * words)
    return sum + (scores[label] ?? NaN) - Math.log(scores.reduce((total, score) => total + Math.exp(score), 0))
  }, 0)
}

const margins = examples.map(({ chosen, rejected }) => {
  const ratio = (text: Text): number => logProbability(text, true) - logProbability(text, false)
  return ratio(chosen) - ratio(rejected)
})

describe('a new preference objective', () => {
  it('has the loss that the reference gives by hand, with the base model as the reference model of DPO', async () => {
    expect(Math.min(...margins.map(Math.abs))).toBeGreaterThan(1e-3) // the adapters change both models' answers
    const byHand = margins.reduce((sum, m) => sum + Math.log(1 + Math.exp(-beta * m)), 0) / margins.length
    assertClose([(await lossAndGradient(state.parameters)).loss], [byHand], { relative: 1e-10 })
  })

  it('has the gradient of its finite differences, which no path through the base model disturbs', async () => {
    const { gradient } = await lossAndGradient(state.parameters)
    const step = 1e-5
    const places = Array.from({ length: 24 }, (_, i) => Math.floor((i * gradient.length) / 24))
    const differences: number[] = []
    for (const place of places) {
      const lossAt = async (change: number): Promise<number> => {
        const parameters = state.parameters.slice()
        parameters[place] = (parameters[place] ?? NaN) + change
        return (await lossAndGradient(parameters)).loss
      }
      differences.push(((await lossAt(step)) - (await lossAt(-step))) / (2 * step))
    }
    expect(Math.max(...differences.map(Math.abs))).toBeGreaterThan(1e-4)
    assertClose(
      places.map((place) => gradient[place] ?? NaN),
      differences,
      { relative: 1e-6, absolute: 1e-9 },
    )
  })

  it('answers with the margin of each example, and a training step lowers the loss', async () => {
    const answersOf = async ({ phase, parameters }: RunState): Promise<ReadonlyArray<number>> => {
      const predictor = await openPredictor(assembly, objective, phase, runtime)
      return predictor.predict(parameters, examples, 2).finally(predictor.release)
    }
    assertClose(await answersOf(state), margins, { relative: 1e-9 })
    const sessions = await openPhaseSessions(assembly, state.phase, runtime, { batch: 4, sequence: 6, tokens: 18 })
    const context = { assembly, objective, progress: { step: 0, steps: 10 }, learningRate: 1e-3, spare: null }
    const before = { ...state, parameters: state.parameters.slice() }
    const { loss, state: after } = await trainStep(context, sessions, before, [examples]).finally(sessions.release)
    expect((await lossAndGradient(after.parameters)).loss).toBeLessThan(loss)
  })

  it('refuses a method with virtual tokens, which the base model does not have', () => {
    const settings = resolveSettings({ method: 'prompt', numVirtualTokens: 2 })
    const prompted = { ...assembly, objective: objective as Objective, method: methodOf('prompt'), settings }
    expect(() => stepGraph(prompted, { shape: [2, model.config.hiddenSize] }, 'whole')).toThrow(
      /^method: expected a method without virtual tokens, .* got prompt$/,
    )
  })
})
