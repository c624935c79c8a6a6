/** The trainer against the reference: the same run, replayed step by step from the run's seed, its batch order, schedule and control. */
import { describe, expect, it } from 'vitest'
import { gateControl } from '../../accelerated/methods/salora/gateControl.js'
import { uniforms } from '../../accelerated/training/random.js'
import { resolveSettings, type SettingsInput } from '../../accelerated/settings.js'
import { batchesOfEpoch, inBatches } from '../../accelerated/training/batchOrder.js'
import { gateSteps, learningRateAt } from '../../accelerated/training/schedule.js'
import { train, type StepReport, type TrainingResult, type TrainingTask } from '../../accelerated/training/train.js'
import { compareStates } from '../../evaluation/agreement/compareSteps.js'
import { drawModel, type Model } from '../../evaluation/agreement/model.js'
import { modulesOf, sessionOf, startOfRun, type Target } from '../../evaluation/agreement/segment.js'
import { constants, toExamples } from '../../evaluation/agreement/translate.js'
import { density, pruneState, tensor, trainingStep, type Batch, type TrainingState } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { disagreements, someOptions } from './modelOptions.js'

const target: Target = { device: 'cpu', dtype: 'float64' }
const steps = 12

const taskOf = (model: Model, change: SettingsInput): TrainingTask => {
  const examples = toExamples(model.batch)
  const settings = resolveSettings({
    rank: model.settings.rank,
    alpha: model.settings.alpha,
    maxSteps: steps,
    batchSize: 2,
    dropout: 0,
    precision: 'float64',
    gateStart: 0.25,
    gateEnd: 0.75,
    warmup: 0.2,
    learningRate: 1e-3,
    maxLength: 5,
    seed: 11,
    device: 'cpu',
    ...change,
  })
  return {
    config: model.config,
    frozen: constants(model.base, 'float64'),
    session: sessionOf(target),
    settings,
    training: examples,
    evaluation: examples,
    score: () => ({ scores: {}, selection: 0, constant: null }),
  }
}

const rowsOf = ({ inputIds, tokenTypeIds, labels }: Batch, rows: ReadonlyArray<number>): Batch => ({
  inputIds: rows.map((i) => inputIds[i] ?? []),
  labels: rows.map((i) => labels[i] ?? NaN),
  ...(tokenTypeIds === undefined ? {} : { tokenTypeIds: rows.map((i) => tokenTypeIds[i] ?? []) }),
})

/** Algorithm 1 by the reference, with what the run's settings and seed say of each step. */
const replay = (model: Model, { settings, training }: TrainingTask): TrainingState => {
  const window = gateSteps(steps, settings.gateStart, settings.gateEnd)
  const perStep = settings.batchSize * settings.accumulate
  const stepsPerEpoch = Math.ceil(training.length / perStep)
  const rate = learningRateAt({ peak: settings.learningRate, warmup: settings.warmup, steps })
  let state = startOfRun(model, 'float64').reference
  const gates = modulesOf(model, state.adapters).flatMap(({ name, r }) => Array.from({ length: r }, () => name))
  const control = gateControl({
    steps: (window?.end ?? 0) - (window?.start ?? 0),
    gates: gates.length,
    initialDensity: density(settings)(state.adapters),
    targetDensity: settings.density,
    controlLearningRate: settings.controlLearningRate,
  })
  const step = trainingStep(model.config, { ...model.settings, beta: settings.beta, weightDecay: settings.weightDecay }, model.base)
  for (let t = 0; t < steps; t++) {
    const gated = window !== null && t >= window.start && t < window.end
    if (t === window?.end) state = pruneState({ ...settings, targetDensity: settings.density })(state)[0]
    const batches = batchesOfEpoch(
      settings.seed,
      Math.floor(t / stepsPerEpoch),
      training.map(({ inputIds }) => inputIds.length),
      settings.batchSize,
    )
    const rows = (inBatches(batches, settings.accumulate)[t % stepsPerEpoch] ?? []).flat()
    const u = uniforms(settings.seed, 'gates', t, gates.length)
    const noise = Object.fromEntries(
      Object.keys(state.adapters).map((module) => [
        module,
        tensor(
          [gates.filter((name) => name === module).length],
          u.filter((_, j) => gates[j] === module),
        ),
      ]),
    )
    state = step(
      state,
      rowsOf(model.batch, rows),
      { gates: noise, dropout: {} },
      {
        ...model.control,
        ...(gated ? control(state.gatedStep + 1) : {}),
        gating: gated ? 'sampled' : 'open',
        learningRate: rate(t),
      },
    )[0]
  }
  return state
}

const runOf = async (
  model: Model,
  task: TrainingTask,
): Promise<{ readonly reports: ReadonlyArray<StepReport>; readonly result: TrainingResult }> => {
  const events = train(task, startOfRun(model, 'float64').accelerated, null, new AbortController().signal)
  const reports: StepReport[] = []
  for (;;) {
    const next = await events.next()
    if (next.done === true) return { reports, result: next.value }
    if (next.value.kind === 'step') reports.push(next.value)
  }
}

describe('the trainer', () => {
  it.each<readonly [string, SettingsInput]>([
    ['batches of two', {}],
    ['batches of two in two parts of one', { batchSize: 1, accumulate: 2 }],
    ['binary gates by the rule of ĝ > 0', { gateAfter: 'binary', retain: 'paper' }],
  ])('does what the reference does, to the last state: %s', async (_, change) => {
    const model = drawModel(someOptions({ dropout: 0, lengths: [3, 1, 4, 2, 5] }))
    const task = taskOf(model, change)
    const { reports, result } = await runOf(model, task)
    const expected = replay(model, task)
    expect(disagreements(compareStates(model, target, { reference: expected, accelerated: result.last }, 'run', 0))).toEqual([])

    const lambdas = reports.flatMap(({ lambda }) => (lambda === null ? [] : [lambda]))
    expect(lambdas.length).toBe(6)
    lambdas.forEach((lambda, i) => expect(lambda).toBeGreaterThanOrEqual(lambdas[i - 1] ?? 0))
    assertClose([result.last.step, result.last.gatedStep], [expected.step, expected.gatedStep], { relative: 0, name: 'steps' })
  })
})
