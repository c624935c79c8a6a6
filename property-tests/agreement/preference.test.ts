/** Preference losses against their formulas, on log-probabilities of the reference, and against finite differences. */
import { describe, expect, it } from 'vitest'
import type { LabeledText } from '../../accelerated/objectives/labeledTokens.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { zeros, type Vector } from '../../accelerated/parameters/vectors.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { methodOf, resolveSettings } from '../../accelerated/training/settings.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { openPhaseSessions } from '../../accelerated/training/phaseSessions.js'
import { toTexts } from '../../evaluation/agreement/convert.js'
import { assemblyOf, startOf } from '../../evaluation/agreement/acceleratedSide.js'
import { runtimeOf } from '../../evaluation/agreement/target.js'
import { drawDecoder } from '../../evaluation/agreement/drawModel.js'
import { modelOf, scaleOf } from '../../reference/index.js'
import { someDecoder } from './modelOptions.js'
import { assertClose } from '../support/assertClose.js'
import {
  preference,
  preferenceExample,
  preferenceLosses,
  type PreferenceAnswer,
  type PreferenceSettings,
} from '../../finetuning/tasks/preferences/objective.js'

const dtype = 'float64'
const runtime = runtimeOf({ device: 'cpu', precision: dtype })

/** A tiny decoder with adapters away from 0, and two pairs of texts of different lengths. No penalty of the method is in the loss. */
const model = drawDecoder(someDecoder({ lengths: [5, 3, 4, 6], beta: 0 }))
const [a, b, c, d] = toTexts(model.batch) as [LabeledText, LabeledText, LabeledText, LabeledText]
const examples = [preferenceExample(1, a, b), preferenceExample(2, c, d)]
const state = startOf(model, 'open', dtype)

const settingsOf = (loss: PreferenceSettings['loss']): PreferenceSettings => ({ loss, beta: 0.3, labelSmoothing: 0.1, gamma: 0.4 })

const bind = (settings: PreferenceSettings) => {
  const objective = preference(assemblyOf(model, dtype).model, settings)
  return { objective, assembly: { ...assemblyOf(model, dtype), objective } }
}

/** Loss and gradient of the examples, by the graph. */
const openLoss = async (settings: PreferenceSettings) => {
  const { objective, assembly } = bind(settings)
  const prepared = objective.prepare(examples, { seed: 0, step: 0 })
  const { outputs, layout } = stepGraph(assembly, state.phase, 'add')
  const session = await runtime.engine.open(outputs, noWeights)
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
  return { lossAndGradient, release: session.release }
}

/** log p of each labeled token of a text by the reference, with adapters or without. */
const tokenLogs = ({ inputIds, targets }: LabeledText, adapted: boolean): readonly number[] => {
  const adapters = adapted ? model.parameters.adapters : {}
  const operands = { base: model.base, adapters, gates: {}, head: {} }
  const { logits } = modelOf(model.config, { scale: scaleOf(model.settings) })(operands, { inputIds: [Array.from(inputIds)] })
  const words = logits.shape[1] ?? NaN
  return Array.from(targets).flatMap((label, row) => {
    if (label < 0) return []
    const scores = logits.data.subarray(row * words, (row + 1) * words)
    return [(scores[label] ?? NaN) - Math.log(scores.reduce((total, score) => total + Math.exp(score), 0))]
  })
}
const sum = (numbers: readonly number[]): number => numbers.reduce((total, x) => total + x, 0)

const answersByHand = ({ loss }: PreferenceSettings) =>
  examples.map(({ chosen, rejected }) => {
    const of = (text: LabeledText, adapted: boolean): number => {
      const logs = tokenLogs(text, adapted)
      return loss === 'dpo' ? sum(logs) : sum(logs) / logs.length
    }
    const compares = loss === 'dpo' || loss === 'ipo'
    return {
      chosen: of(chosen, true),
      rejected: of(rejected, true),
      baseChosen: compares ? of(chosen, false) : 0,
      baseRejected: compares ? of(rejected, false) : 0,
    }
  })

/** The papers' formulas. σ(x) = 1 / (1 + e^−x) */
const lossByHand = (settings: PreferenceSettings): number => {
  const { loss, beta, labelSmoothing, gamma } = settings
  const minusLogSigma = (x: number): number => Math.log(1 + Math.exp(-x))
  const smoothed = (x: number): number => (1 - labelSmoothing) * minusLogSigma(x) + labelSmoothing * minusLogSigma(-x)
  const odds = (logProbability: number): number => Math.exp(logProbability) / (1 - Math.exp(logProbability))
  const losses = answersByHand(settings).map(({ chosen, rejected, baseChosen, baseRejected }) => {
    const margin = chosen - baseChosen - (rejected - baseRejected)
    return {
      dpo: smoothed(beta * margin),
      ipo: (margin - 1 / (2 * beta)) ** 2,
      simpo: smoothed(beta * (chosen - rejected) - gamma),
      orpo: -chosen + beta * minusLogSigma(Math.log(odds(chosen) / odds(rejected))),
    }[loss]
  })
  return sum(losses) / losses.length
}

describe('a preference loss', () => {
  it.each(preferenceLosses)('%s is its formula on log-probabilities of the reference', async (loss) => {
    const settings = settingsOf(loss)
    const { lossAndGradient, release } = await openLoss(settings)
    assertClose([(await lossAndGradient(state.parameters)).loss], [lossByHand(settings)], { relative: 1e-10 })
    await release()
  })

  it('compares answers that differ, by models that differ', () => {
    for (const { chosen, rejected, baseChosen, baseRejected } of answersByHand(settingsOf('ipo')))
      expect(Math.min(...[chosen - rejected, chosen - baseChosen, rejected - baseRejected].map(Math.abs))).toBeGreaterThan(1e-3)
  })

  it.each(preferenceLosses)(
    '%s has the gradient of its finite differences, which no path through the base model disturbs',
    async (loss) => {
      const { lossAndGradient, release } = await openLoss(settingsOf(loss))
      const { gradient } = await lossAndGradient(state.parameters)
      const step = 1e-5
      const places = Array.from({ length: 12 }, (_, i) => Math.floor((i * gradient.length) / 12))
      const differences: number[] = []
      for (const place of places) {
        const lossAt = async (change: number): Promise<number> => {
          const parameters = state.parameters.slice()
          parameters[place] = (parameters[place] ?? NaN) + change
          return (await lossAndGradient(parameters)).loss
        }
        differences.push(((await lossAt(step)) - (await lossAt(-step))) / (2 * step))
      }
      await release()
      expect(Math.max(...differences.map(Math.abs))).toBeGreaterThan(1e-4)
      assertClose(
        places.map((place) => gradient[place] ?? NaN),
        differences,
        { relative: 1e-6, absolute: 1e-9 },
      )
    },
  )

  it.each(preferenceLosses)('%s answers with the log-probabilities of each pair, and a training step lowers the loss', async (loss) => {
    const settings = settingsOf(loss)
    const { objective, assembly } = bind(settings)
    const answersOf = async ({ phase, parameters }: RunState) => {
      const predictor = await openPredictor(assembly, objective, phase, runtime)
      return predictor.predict(parameters, examples, 2).finally(predictor.release)
    }
    const numbers = (answers: readonly PreferenceAnswer[]) => answers.flatMap((answer) => Object.values(answer))
    assertClose(numbers(await answersOf(state)), numbers(answersByHand(settings)), { relative: 1e-9 })
    const sessions = await openPhaseSessions(assembly, state.phase, runtime, { batch: 4, sequence: 6, tokens: 18 })
    const context = { assembly, objective, progress: { step: 0, steps: 10 }, learningRate: 1e-3, spare: null }
    const before = { ...state, parameters: state.parameters.slice() }
    const { loss: first, state: after } = await trainStep(context, sessions, before, [examples]).finally(sessions.release)
    const { lossAndGradient, release } = await openLoss(settings)
    expect((await lossAndGradient(after.parameters)).loss).toBeLessThan(first)
    await release()
  })

  it('refuses a method with virtual tokens where it compares with the base model, which does not have them', () => {
    const settings = resolveSettings({ method: 'prompt', numVirtualTokens: 2 })
    const phase = { shape: [2, model.config.hiddenSize] }
    const prompted = (loss: PreferenceSettings['loss']) => {
      const { assembly, objective } = bind(settingsOf(loss))
      return { ...assembly, objective: objective as Objective, method: methodOf('prompt'), settings }
    }
    expect(() => stepGraph(prompted('dpo'), phase, 'whole')).toThrow(/^method: expected a method without virtual tokens, .* got prompt$/)
    expect(() => stepGraph(prompted('orpo'), phase, 'whole')).not.toThrow()
  })
})
