/** The trainer against the reference: the same run, replayed step by step by the reference's own schedule, window, control, order and dropout. */
import { describe, expect, it } from 'vitest'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { dropoutOffsets, dropoutPools } from '../../accelerated/training/dropoutFeeds.js'
import type { StepReport, TrainingResult, TrainingTask } from '../../accelerated/training/events.js'
import { permutation, uniforms } from '../../accelerated/parameters/random.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { largestBatch } from '../../accelerated/training/batchFeeds.js'
import type { LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import { offsetName, poolName } from '../../accelerated/models/layers/dropout.js'
import { compareStates } from '../../evaluation/agreement/compareSteps.js'
import type { Model, ModelOptions } from '../../evaluation/agreement/drawModel.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { initializeRun } from '../../evaluation/agreement/lockstep.js'
import { buildAssembly, listMatrices, phaseIn, buildPhase, openRuntime, type Target } from '../../evaluation/agreement/acceleratedSide.js'
import { toExamples } from '../../evaluation/agreement/convert.js'
import {
  planEpoch,
  density,
  dropoutMask,
  gateControl,
  gateSteps,
  linearSchedule,
  countWarmupSteps,
  pruneState,
  tensor,
  type ControlRule,
  trainingStep,
  type Batch,
  type Tensors,
  type TrainingState,
} from '../../reference/index.js'
import { disagreements, someOptions } from './modelOptions.js'

const target: Target = { device: 'cpu', precision: 'float64' }
const steps = 12

type Task = TrainingTask<LabeledExample, unknown> & { readonly settings: ReturnType<typeof resolveSettings> }

const taskOf = (model: Model, change: SettingsInput): Task => {
  const examples = toExamples(model.batch)
  const { rank, alpha, beta, weightDecay, loraPlusRatio } = model.settings
  const assembly = buildAssembly(model, 'float64')
  return {
    ...assembly,
    objective: assembly.objective as Task['objective'],
    settings: resolveSettings({
      method: 'salora',
      rank,
      loraAlpha: alpha,
      beta,
      weightDecay,
      loraplusLrRatio: loraPlusRatio,
      maxSteps: steps,
      batchSize: 2,
      precision: 'float64',
      gateStart: 0.25,
      gateEnd: 0.75,
      warmupRatio: 0.2,
      learningRate: 1e-3,
      maxLength: 5,
      seed: 11,
      device: 'cpu',
      ...change,
    }),
    runtime: openRuntime(target),
    training: examples,
    evaluation: examples,
    score: () => ({ scores: {}, selection: 0, constant: null }),
  }
}

const rowsOf = ({ inputIds, tokenTypeIds, labels }: Batch, rows: readonly number[]): Batch => ({
  inputIds: rows.map((i) => inputIds[i] ?? []),
  labels: rows.map((i) => labels[i] ?? NaN),
  ...(tokenTypeIds === undefined ? {} : { tokenTypeIds: rows.map((i) => tokenTypeIds[i] ?? []) }),
})

const once = <A extends readonly unknown[], B>(make: (...given: A) => B): ((...given: A) => B) => {
  const made = new Map<string, B>()
  return (...given) => {
    const key = JSON.stringify(given)
    const value = made.get(key) ?? make(...given)
    made.set(key, value)
    return value
  }
}
const poolsOf = once((seed: number, sites: Parameters<typeof dropoutPools>[1], largest: Parameters<typeof dropoutPools>[2]) =>
  dropoutPools(seed, sites, largest, 'float64'),
)
const drawnPool = once((seed: number, place: number, size: number) => uniforms(seed, 'dropoutPool', place, size))

/** The masks of step t. The run's seed determines the offsets in a pool. The pool itself is the reference's rule on its uniforms. */
const masksOf = (model: Model, task: Task, state: TrainingState, gated: boolean, t: number, batch: Batch): Tensors => {
  const { seed, batchSize } = task.settings
  const { sites } = stepGraph(buildAssembly(model, 'float64'), buildPhase(model, state.adapters, gated ? 'sampled' : 'open'), 'whole')
  const lengths = batch.inputIds.map(({ length }) => length)
  const sizes = { batch: lengths.length, sequence: Math.max(...lengths), tokens: lengths.reduce((a, b) => a + b, 0) }
  const pools = poolsOf(seed, sites, largestBatch(task.training, batchSize, 0))
  const offsets = dropoutOffsets(seed, t, sites, pools, sizes)
  const probabilities = [...new Set(sites.map(({ probability }) => probability))]
  return Object.fromEntries(
    sites.map(({ site, probability, shape }) => {
      const size = pools[poolName(probability)]?.shape[0] ?? 0
      const lengths = shape.map((d) => (typeof d === 'number' ? d : (sizes[d as keyof typeof sizes] ?? NaN)))
      const at = Number(offsets[offsetName(site)]?.data[0])
      const u = drawnPool(seed, probabilities.indexOf(probability), size).slice(at, at + lengths.reduce((a, b) => a * b, 1))
      return [site, dropoutMask(probability)(tensor(lengths, u))]
    }),
  )
}

/** Algorithm 1 by the reference, with what the run's settings and seed say of each step. */
const replay = (model: Model, task: Task): { readonly state: TrainingState; readonly orders: readonly string[] } => {
  const { settings, training } = task
  const { gateStart = NaN, gateEnd = NaN, density: budget = NaN, controlLearningRate = NaN, control: given = 'ramp' } = settings
  const rule = typeof given === 'number' ? 'constant' : (given as ControlRule)
  const own = {
    ...model.settings,
    orthogonality: settings.orthogonality ?? 'mean',
    orthogonalityAfter: settings.orthogonalityAfter ?? 'unit',
    control: rule,
  }
  const { start, end } = gateSteps({ gateStart, gateEnd, steps })
  const stepsPerEpoch = Math.ceil(training.length / (settings.batchSize * settings.gradientAccumulationSteps))
  const rate = linearSchedule({ peak: settings.learningRate ?? NaN, steps, warmupSteps: countWarmupSteps(settings.warmupRatio, steps) })
  const lengths = Array.from({ length: training.length }, (_, i) => training.at(i)?.inputIds.length ?? NaN)
  let state = { ...initializeRun(model, 'float64').reference, lambda: typeof given === 'number' ? given : 0 }
  const gates = listMatrices(model, state.adapters).flatMap(({ name, r }) => Array.from({ length: r }, () => name))
  const control = gateControl({
    control: rule,
    steps: end - start,
    gates: gates.length,
    initialDensity: density(own)(state.adapters),
    targetDensity: budget,
    controlLearningRate,
  })
  const step = trainingStep(model.config, own, model.base)
  const orders: string[] = []
  for (let t = 0; t < steps; t++) {
    const gated = t >= start && t < end
    if (t === end) {
      const triplets = permutation(settings.seed, 'retention', end, gates.length)
      const rules = { ...own, retain: settings.retain ?? 'budget', gateAfter: settings.gateAfter ?? 'soft', targetDensity: budget }
      state = pruneState(rules)(state, [...triplets])[0]
    }
    const epoch = Math.floor(t / stepsPerEpoch)
    const batches = Math.ceil(training.length / settings.batchSize)
    const order = planEpoch(lengths, settings.batchSize, {
      examples: [...permutation(settings.seed, 'order', 2 * epoch, training.length)],
      batches: [...permutation(settings.seed, 'order', 2 * epoch + 1, batches)],
    })
    const first = (t % stepsPerEpoch) * settings.gradientAccumulationSteps
    const rows = order.slice(first, first + settings.gradientAccumulationSteps).flat()
    orders.push(rows.join(' '))
    const u = uniforms(settings.seed, 'gates', t, gates.length)
    const noise = Object.fromEntries(
      Object.keys(state.adapters).map((module) => {
        const drawn = u.filter((_, j) => gates[j] === module)
        return [module, tensor([drawn.length], drawn)]
      }),
    )
    const batch = rowsOf(model.batch, rows)
    const dropout = model.config.hiddenDropout === 0 ? {} : masksOf(model, task, state, gated, t, batch)
    const scalars = { ...model.control, ...(gated ? control(state.gatedStep + 1) : {}), learningRate: rate(t) }
    state = step(state, batch, { gates: noise, dropout }, { ...scalars, gating: gated ? 'sampled' : 'open' })[0]
  }
  return { state, orders }
}

const runOf = async (model: Model, task: Task): Promise<{ readonly reports: readonly StepReport[]; readonly result: TrainingResult }> => {
  const events = train(task, initializeRun(model, 'float64').accelerated, null, new AbortController().signal)
  const reports: StepReport[] = []
  for (;;) {
    const next = await events.next()
    if (next.done === true) return { reports, result: next.value }
    if (next.value.kind === 'step') reports.push(next.value)
  }
}

describe('the training loop', () => {
  it.each<readonly [string, SettingsInput, Partial<ModelOptions>]>([
    ['batches of two', {}, {}],
    ['batches of two, with dropout', {}, { dropout: 0.2 }],
    ['batches of two in two parts of one', { batchSize: 1, gradientAccumulationSteps: 2 }, {}],
    ['binary gates by the rule of ĝ > 0', { gateAfter: 'binary', retain: 'paper' }, {}],
    ['kept gates, and columns held at their folded norms', { gateAfter: 'kept', orthogonalityAfter: 'folded' }, {}],
    ['the sum of the norms, and none after T_end', { orthogonality: 'sum', orthogonalityAfter: 'off' }, {}],
    ['a half drawn at random', { retain: 'random', gateAfter: 'binary' }, {}],
    ['Algorithm 1 to the letter', { control: 'descent', orthogonality: 'sum' }, {}],
    ["the paper's constants with Adam", { control: 'adam', orthogonality: 'sum', retain: 'paper' }, {}],
    ['equation (10) with a constant λ', { control: 0.03, retain: 'paper' }, {}],
    ['no constraint, λ = 0, by its earlier name', { control: 'free', retain: 'paper' }, {}],
    ['B at four times the rate of A (LoRA+)', {}, { loraPlusRatio: 4 }],
    ['a window that no step begins exactly', { gateStart: 0.21, gateEnd: 0.71, warmupRatio: 0.3 }, {}],
  ])('reaches the last state of the reference: %s', async (_, change, options) => {
    const model = drawModel(someOptions({ dropout: 0, lengths: [3, 1, 3, 3, 4], ...options })) // of one length, so that the shuffle decides who is beside whom
    const task = taskOf(model, change)
    const { reports, result } = await runOf(model, task)
    const { state, orders } = replay(model, task)
    expect(disagreements(compareStates(model, target, { reference: state, accelerated: result.last }, 'run', 0))).toEqual([])
    const perEpoch = Math.ceil(5 / 2)
    const epochs = orders.flatMap((_order, t) => (t % perEpoch === 0 ? [orders.slice(t, t + perEpoch).join(' | ')] : []))
    expect(new Set(epochs).size, 'orders of the epochs').toBeGreaterThan(1)

    const lambdas = reports.flatMap(({ columns: { lambda } }) => (typeof lambda === 'number' ? [lambda] : []))
    expect(lambdas.length).toBe(state.gatedStep)
    lambdas.forEach((lambda, i) => expect(lambda).toBeGreaterThanOrEqual(lambdas[i - 1] ?? 0))
    expect(phaseIn(result.last).stage).toBe('after')
    expect(result.last.step).toBe(state.step)
  })
})

describe("a resumed run with the paper's constants and Adam", () => {
  it('ends in the same bits, moments of Θ and λ included, when it stops amid the gated steps', async () => {
    const model = drawModel(someOptions({ dropout: 0, lengths: [3, 1, 3, 3, 4] }))
    const task = taskOf(model, { control: 'adam', retain: 'paper', saveSteps: 1 })
    const signal = new AbortController().signal
    const states: RunState[] = []
    const start = initializeRun(model, 'float64').accelerated
    const finish = async (from: RunState): Promise<RunState> => {
      const events = train(task, from, null, signal)
      for (;;) {
        const next = await events.next()
        if (next.done === true) return next.value.last
        if (next.value.kind === 'checkpoint') states.push(structuredClone(next.value.state))
      }
    }
    const whole = await finish(start)
    const amid = states.filter((state) => phaseIn(state).stage === 'gated').at(3)
    expect(amid === undefined ? [] : [...amid.secondMoment].filter((x) => x !== 0).length).not.toEqual([])
    const resumed = await finish(amid ?? start)
    expect([...resumed.parameters]).toEqual([...whole.parameters])
    expect([...resumed.secondMoment]).toEqual([...whole.secondMoment])
    expect(resumed.phase).toEqual(whole.phase)
  })
})

describe('the best evaluation of a run', () => {
  /** Scores and losses of the evaluations after the gates close, in order. → the steps that were the best so far, and the last step */
  const bestSteps = async (evaluations: readonly (readonly [number, number])[], earlyStoppingPatience: number | null = null) => {
    const model = drawModel(someOptions({ dropout: 0, lengths: [3, 1, 3, 3, 4] }))
    const first = 16 // gates close after step 15 of 20, and no earlier step can be the best
    let step = 0
    const score: Task['score'] = () => {
      const [selection, loss] = evaluations[++step - first] ?? [0, 1]
      return { scores: { loss }, selection, constant: null }
    }
    const task = { ...taskOf(model, { maxSteps: 20, evalSteps: 1, earlyStoppingPatience }), score }
    const best: number[] = []
    let last = 0
    for await (const event of train(task, initializeRun(model, 'float64').accelerated, null, new AbortController().signal)) {
      if (event.kind === 'step') last = event.step
      if (event.kind === 'evaluation' && event.best) best.push(event.step)
    }
    return { best, last }
  }
  it('has the highest score, and of equal scores the lowest loss', async () => {
    expect(
      await bestSteps([
        [0.8, 0.5],
        [0.8, 0.4],
        [0.8, 0.4],
        [0.9, 0.9],
      ]),
    ).toEqual({ best: [16, 17, 19], last: 20 })
    expect(
      await bestSteps([
        [0.8, 0.5],
        [0.7, 0.1],
        [0.8, 0.6],
        [0.8, 0.2],
      ]),
    ).toEqual({ best: [16, 19], last: 20 })
  })
  it('is replaced by a lower loss while patience, which looks at the score, counts on', async () => {
    expect(
      await bestSteps(
        [
          [0.8, 0.5],
          [0.8, 0.4],
          [0.8, 0.3],
          [0.9, 0.1],
        ],
        2,
      ),
    ).toEqual({ best: [16, 17, 18], last: 18 })
  })
  it('keeps its parameters, whatever later steps write', async () => {
    const model = drawModel(someOptions({ dropout: 0, lengths: [3, 1, 3, 3, 4] }))
    const score: Task['score'] = () => ({ scores: {}, selection: 1, constant: null }) // the first that can be the best stays it
    const events = train(
      { ...taskOf(model, { maxSteps: 20, evalSteps: 1 }), score },
      initializeRun(model, 'float64').accelerated,
      null,
      new AbortController().signal,
    )
    let after16: readonly number[] = []
    for (;;) {
      const next = await events.next()
      if (next.done === true) {
        const { best, last } = next.value
        expect(best?.step).toBe(16)
        expect([...(best?.parameters ?? [])]).toEqual(after16)
        expect([...last.parameters]).not.toEqual(after16)
        return
      }
      if (next.value.kind === 'checkpoint' && next.value.state.step === 16) after16 = [...next.value.state.parameters]
    }
  })
})
