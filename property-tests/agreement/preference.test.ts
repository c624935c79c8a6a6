/** Preference losses against their formulas, on log-probabilities of the reference, and against finite differences. */
import { describe, expect, it } from 'vitest'
import type { LabeledText } from '../../accelerated/objectives/labeledTokens.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { zeros, type Vector } from '../../accelerated/parameters/vectors.js'
import type { Assembly } from '../../accelerated/training/assembly.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { openPhaseSessions } from '../../accelerated/training/phaseSessions.js'
import { toTexts } from '../../evaluation/agreement/convert.js'
import { buildAssembly, buildInitialState, openRuntime } from '../../evaluation/agreement/acceleratedSide.js'
import { drawDecoder } from '../../evaluation/agreement/drawModel.js'
import { buildModel, adapterScale } from '../../reference/index.js'
import { someDecoder } from './modelOptions.js'
import { assertClose } from '../support/assertClose.js'
import { gradient } from '../../accelerated/graph/gradient.js'
import { input, reduceSum } from '../../accelerated/graph/operators.js'
import { kto, ratedExample, type KtoSettings, type RatedExample } from '../../finetuning/tasks/preferences/kto.js'
import {
  pairLosses,
  preference,
  preferenceExample,
  preferenceLosses,
  type PreferenceAnswer,
  type PreferenceSettings,
} from '../../finetuning/tasks/preferences/objective.js'
import { float32, float64, withGraph } from '../support/runGraph.js'

const dtype = 'float64'
const runtime = openRuntime({ device: 'cpu', precision: dtype })

/** A tiny decoder with adapters away from 0, and two pairs of texts of different lengths. No penalty of the method is in the loss. */
const model = drawDecoder(someDecoder({ lengths: [5, 3, 4, 6], beta: 0 }))
const [a, b, c, d] = toTexts(model.batch) as [LabeledText, LabeledText, LabeledText, LabeledText]
const examples = [preferenceExample(1, a, b), preferenceExample(2, c, d)]
const state = buildInitialState(model, 'open', dtype)

const settingsOf = (loss: PreferenceSettings['loss']): PreferenceSettings => ({ loss, beta: 0.3, labelSmoothing: 0.1, gamma: 0.4 })

const bind = (settings: PreferenceSettings) => {
  const objective = preference(buildAssembly(model, dtype).model, settings)
  return { objective, assembly: { ...buildAssembly(model, dtype), objective } }
}

/** Loss and gradient of the examples, by the graph. */
const openLoss = async (settings: PreferenceSettings) => {
  const { objective, assembly } = bind(settings)
  return openObjective(assembly, objective.prepare(examples, { seed: 0, step: 0 }))
}

/** @param whole examples of the step, of which these are a part */
const openObjective = async (assembly: Assembly, prepared: ReturnType<Objective['prepare']>, whole = prepared.weight) => {
  const { outputs, layout } = stepGraph(assembly, state.phase, 'add')
  const session = await runtime.engine.open(outputs, noWeights)
  const lossAndGradient = async (parameters: Vector): Promise<{ readonly loss: number; readonly gradient: Vector }> => {
    const gradient = zeros(layout.size, dtype)
    const feeds = {
      ...stateFeeds(layout, { ...state, parameters }, dtype),
      ...batchFeeds(assembly, prepared, whole).feeds,
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
  const { logits } = buildModel(model.config, { scale: adapterScale(model.settings) })(operands, { inputIds: [Array.from(inputIds)] })
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
      return { ...assembly, objective: objective as Objective, method: findMethod('prompt'), settings }
    }
    expect(() => stepGraph(prompted('dpo'), phase, 'whole')).toThrow(/^method: expected a method without virtual tokens, .* got prompt$/)
    expect(() => stepGraph(prompted('orpo'), phase, 'whole')).not.toThrow()
  })
})

describe("ORPO's loss of sure and of hopeless answers", () => {
  const [beta, surest] = [0.3, -(2 ** -20)]
  const settings: PreferenceSettings = { loss: 'orpo', beta, labelSmoothing: 0, gamma: 0 }
  /** log(1 − e^x) in the form that is exact on either side of −ln 2. */
  const logOneMinusExp = (x: number): number => (x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x)))
  /** TRL's odds_ratio_loss: −log p + β · −log σ(log odds). @param bound the surest log-probability in the odds */
  const trl = (chosen: number, rejected: number, bound = 0): number => {
    const [of, to] = [chosen, rejected].map((x) => logOneMinusExp(Math.min(x, bound)))
    const logOdds = chosen - rejected - ((of ?? NaN) - (to ?? NaN))
    return -chosen + beta * (Math.max(-logOdds, 0) + Math.log1p(Math.exp(-Math.abs(logOdds))))
  }
  const logs = [-1e-12, -1e-9, -9e-7, -1e-6, -1e-5, -1e-3, -0.1, -0.7, -1, -10, -100, -700, -1e3]
  const pairs = logs.flatMap((chosen) => logs.map((rejected) => [chosen, rejected] as const))
  const lossesIn = (type: 'float32' | 'float64', given: readonly (readonly [number, number])[]) => {
    const [chosen, rejected] = [input('chosen', ['pairs'], type), input('rejected', ['pairs'], type)]
    const losses = pairLosses(settings, [chosen, rejected], null)
    const [slopeOfChosen, slopeOfRejected] = gradient(reduceSum(losses), [chosen, rejected])
    const feed = type === 'float32' ? float32 : float64
    const feeds = { chosen: feed(given.map(([x]) => x)), rejected: feed(given.map(([, x]) => x)) }
    return withGraph({ losses, slopeOfChosen: slopeOfChosen!, slopeOfRejected: slopeOfRejected! }, async (run) => {
      const results = await run(feeds)
      return Object.fromEntries(Object.entries(results).map(([name, numbers]) => [name, Array.from(numbers, Number)]))
    })
  }

  it("is TRL's from −1e-12 to −1000, but for odds that count as those of a log-probability of −2⁻²⁰ at most", async () => {
    const { losses = [] } = await lossesIn('float64', pairs)
    assertClose(
      losses,
      pairs.map(([chosen, rejected]) => trl(chosen, rejected, surest)),
      { relative: 1e-9, absolute: 1e-15 },
    )
    pairs.forEach(([chosen, rejected], i) => {
      const beyond = [chosen, rejected].reduce((sum, x) => sum + Math.max(0, Math.log(surest / x)), 0)
      expect(Math.abs((losses[i] ?? NaN) - trl(chosen, rejected))).toBeLessThanOrEqual(
        beta * beyond + 1e-9 * Math.abs(trl(chosen, rejected)),
      )
    })
  })

  it('in float32 is finite with its slopes, also where rounding makes a log-probability 0 or more, and near the exact one', async () => {
    const rounded = [...pairs, [0, -1], [-1, 0], [0, 0], [1e-7, -1e3], [-1e3, 1e-7]] as const
    const { losses = [], slopeOfChosen = [], slopeOfRejected = [] } = await lossesIn('float32', rounded)
    expect([...losses, ...slopeOfChosen, ...slopeOfRejected].every(Number.isFinite)).toBe(true)
    expect(slopeOfChosen.every((slope) => slope <= 0)).toBe(true)
    expect(slopeOfRejected.every((slope) => slope >= 0)).toBe(true)
    assertClose(
      losses,
      rounded.map(([chosen, rejected]) => trl(chosen, rejected, surest)),
      { relative: 1e-5, absolute: beta * 0.07 }, // 1 − e^x of −2⁻²⁰ has 4 bits in float32
    )
  })
})

describe('the loss kto', () => {
  const settings: KtoSettings = { beta: 0.3, desirableWeight: 1.5, undesirableWeight: 0.5 }
  const ratioOf = (text: LabeledText): number => sum(tokenLogs(text, true)) - sum(tokenLogs(text, false))
  /** The same prompt with another answer, of one word again and again: the model makes some words likelier than the base model does, and others less. */
  const byRatio = Array.from({ length: model.config.vocabularySize }, (_, word): LabeledText => {
    return { ...b, targets: Array.from(b.targets, (target) => (target < 0 ? target : word)) }
  }).toSorted((x, y) => ratioOf(x) - ratioOf(y))
  const [lowest, highest] = [byRatio[0], byRatio.at(-1)] as [LabeledText, LabeledText]
  const sigma = (x: number): number => 1 / (1 + Math.exp(-x))
  /** @param whole answers of the step, of which these are a part */
  const byHand = (rated: readonly RatedExample[], whole: number): number => {
    const distance = Math.max(0, sum(rated.map(({ mismatched }) => ratioOf(mismatched))) / rated.length)
    const losses = rated.map(({ answer, isDesirable }) => {
      const advantage = settings.beta * (ratioOf(answer) - distance)
      return isDesirable ? settings.desirableWeight * (1 - sigma(advantage)) : settings.undesirableWeight * (1 - sigma(-advantage))
    })
    return sum(losses) / whole
  }
  const inGraph = async (rated: readonly RatedExample[], whole: number): Promise<number> => {
    const own = buildAssembly(model, dtype)
    const objective = kto(own.model, settings) as unknown as Objective
    const { lossAndGradient, release } = await openObjective({ ...own, objective }, objective.prepare(rated, { seed: 0, step: 0 }), whole)
    return lossAndGradient(state.parameters)
      .then(({ loss }) => loss)
      .finally(release)
  }
  const rated = (mismatched: LabeledText): readonly RatedExample[] => [
    ratedExample(1, { answer: a, mismatched, isDesirable: true }),
    ratedExample(2, { answer: c, mismatched, isDesirable: false }),
  ]

  it.each([
    ['above 0 has it in its odds', highest, 1],
    ['below 0 counts it as 0', lowest, -1],
  ])('of a distance %s', async (_, mismatched, sign) => {
    expect(Math.sign(ratioOf(mismatched))).toBe(sign)
    expect(Math.abs(ratioOf(mismatched))).toBeGreaterThan(1e-3)
    assertClose([await inGraph(rated(mismatched), 2)], [byHand(rated(mismatched), 2)], { relative: 1e-10 })
  })

  it('of a part of a step has the distance of the part, and its share of the loss', async () => {
    assertClose([await inGraph(rated(highest), 6)], [byHand(rated(highest), 6)], { relative: 1e-10 })
  })
})
