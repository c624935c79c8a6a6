/** Replicas that train apart between rounds: the run against the reference, and against plain training where the two are the same by definition. */
import { describe, expect, it } from 'vitest'
import { salora } from '../../accelerated/methods/salora/salora.js'
import type { Method } from '../../accelerated/methods/method.js'
import { permutation } from '../../accelerated/parameters/random.js'
import { zeros } from '../../accelerated/parameters/vectors.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { StepReport, TrainingResult, TrainingTask } from '../../accelerated/training/events.js'
import { memoryNames } from '../../accelerated/training/replicas.js'
import { resolveSettings } from '../../accelerated/training/settings.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { assemblyOf, phaseIn } from '../../evaluation/agreement/acceleratedSide.js'
import { compareStates } from '../../evaluation/agreement/compareSteps.js'
import { toExamples } from '../../evaluation/agreement/convert.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { startOfRun } from '../../evaluation/agreement/lockstep.js'
import type { Model } from '../../evaluation/agreement/model.js'
import { runtimeOf, type Target } from '../../evaluation/agreement/target.js'
import {
  batchesOfEpoch,
  linearSchedule,
  outerUpdate,
  tensor,
  trainingStep,
  warmupStepsOf,
  zerosLike,
  type Adapter,
  type Tensor,
  type TrainingState,
} from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { disagreements, someOptions } from './modelOptions.js'

const target: Target = { device: 'cpu', precision: 'float64' }
const steps = 8

/** SaLoRA whose gates never close is LoRA with a penalty: one phase, which the reference has too. */
const onePhase = { ...salora, phases: { ...salora.phases, advance: () => null, unfinished: () => null } } as unknown as Method

type Replicas = Required<Pick<SettingsInput, 'syncEvery' | 'outerLr' | 'outerMomentum' | 'gradientAccumulationSteps'>>

const taskOf = (model: Model, replicas: Replicas) => {
  const { rank, alpha, beta, weightDecay } = model.settings
  const common = {
    rank,
    loraAlpha: alpha,
    beta,
    weightDecay,
    maxSteps: steps,
    batchSize: 2,
    precision: 'float64',
    warmupRatio: 0.2,
  } as const
  const settings = {
    ...resolveSettings({ method: 'salora', ...common, learningRate: 1e-2, maxLength: 5, seed: 11, device: 'cpu' }),
    ...replicas,
  }
  const assembly = { ...assemblyOf(model, 'float64'), method: onePhase, settings }
  const examples = toExamples(model.batch)
  return {
    ...assembly,
    objective: assembly.objective as TrainingTask['objective'],
    runtime: runtimeOf(target),
    ...{ training: examples, evaluation: examples },
    score: () => ({ scores: {}, selection: 0, constant: null }),
  }
}

const runOf = async (model: Model, replicas: Replicas): Promise<{ reports: ReadonlyArray<StepReport>; result: TrainingResult }> => {
  const task = taskOf(model, replicas)
  const { accelerated } = startOfRun(model, 'float64')
  const names = memoryNames(task, accelerated.phase)
  const start = { ...accelerated, memory: Object.fromEntries(names.map((name) => [name, zeros(accelerated.parameters.length, 'float64')])) }
  const events = train(task, start, null, new AbortController().signal)
  const reports: StepReport[] = []
  for (;;) {
    const next = await events.next()
    if (next.done === true) return { reports, result: next.value }
    if (next.value.kind === 'step') reports.push(next.value)
  }
}

/** DiLoCo by the reference: each replica takes whole steps from the shared parameters, with moments of its own. */
const replay = (model: Model, { syncEvery, outerLr, outerMomentum, gradientAccumulationSteps: count }: Replicas) => {
  const { settings, training } = taskOf(model, { syncEvery, outerLr, outerMomentum, gradientAccumulationSteps: count })
  const lengths = Array.from({ length: training.length }, (_, i) => training.at(i)?.inputIds.length ?? NaN)
  const batches = Math.ceil(training.length / 2)
  const stepsPerEpoch = Math.ceil(batches / count)
  const rate = linearSchedule({ peak: settings.learningRate, steps, warmupSteps: warmupStepsOf(settings.warmupRatio, steps) })
  const step = trainingStep(model.config, model.settings, model.base)
  const update = outerUpdate({ learningRate: outerLr, momentum: outerMomentum })
  const losses: number[] = []
  const velocities = new Map<string, Tensor>()
  const moved = (name: string, before: Tensor, after: ReadonlyArray<Tensor>): Tensor => {
    const [parameter, velocity] = update(before, after, velocities.get(name) ?? zerosLike(before))
    velocities.set(name, velocity)
    return parameter
  }
  const takeStep = (state: TrainingState, t: number, replica: number): readonly [TrainingState, number] => {
    const epoch = Math.floor(t / stepsPerEpoch)
    const order = batchesOfEpoch(lengths, 2, {
      examples: [...permutation(settings.seed, 'order', 2 * epoch, training.length)],
      batches: [...permutation(settings.seed, 'order', 2 * epoch + 1, batches)],
    })
    const first = (t % stepsPerEpoch) * count
    const ofStep = order.slice(first, first + count)
    const rows = ofStep[replica % ofStep.length] ?? []
    const batch = {
      inputIds: rows.map((i) => model.batch.inputIds[i] ?? []),
      labels: rows.map((i) => model.batch.labels[i] ?? NaN),
      ...(model.batch.tokenTypeIds === undefined ? {} : { tokenTypeIds: rows.map((i) => model.batch.tokenTypeIds?.[i] ?? []) }),
    }
    const gates = Object.fromEntries(Object.entries(state.adapters).map(([name, { logTheta }]) => [name, zerosLike(logTheta)]))
    const [next, report] = step(state, batch, { gates, dropout: {} }, { ...model.control, learningRate: rate(t), gating: 'open' })
    return [next, report.loss]
  }
  let shared = startOfRun(model, 'float64').reference
  let moments = Array.from({ length: count }, () => ({ m: shared.m, v: shared.v }))
  for (let start = 0; start < steps; start += syncEvery) {
    const end = Math.min(steps, start + syncEvery)
    const sums = new Array<number>(end - start).fill(0)
    const replicas = moments.map((own, replica) => {
      let state: TrainingState = { ...shared, ...own }
      for (let t = start; t < end; t++) {
        const [next, loss] = takeStep(state, t, replica)
        sums[t - start] = (sums[t - start] ?? 0) + loss / count
        state = next
      }
      return state
    })
    losses.push(...sums)
    const adapters = Object.entries(shared.adapters).map(([name, adapter]): [string, Adapter] => [
      name,
      {
        ...adapter,
        A: moved(
          `${name} A`,
          adapter.A,
          replicas.map((state) => state.adapters[name]?.A ?? tensor([0], [])),
        ),
        B: moved(
          `${name} B`,
          adapter.B,
          replicas.map((state) => state.adapters[name]?.B ?? tensor([0], [])),
        ),
      },
    ])
    const head = Object.entries(shared.head).map(([name, x]): [string, Tensor] => [
      name,
      moved(
        name,
        x,
        replicas.map((state) => state.head[name] ?? tensor([0], [])),
      ),
    ])
    shared = {
      ...shared,
      adapters: Object.fromEntries(adapters),
      head: Object.fromEntries(head),
      step: end,
      m: replicas[0]?.m ?? shared.m,
      v: replicas[0]?.v ?? shared.v,
    }
    moments = replicas.map(({ m, v }) => ({ m, v }))
  }
  return { state: shared, losses }
}

describe('replicas that train apart', () => {
  const model = drawModel(someOptions({ dropout: 0, lengths: [3, 1, 3, 3, 4] }))

  it.each([
    ['two replicas in rounds of three steps', 2, 3, 0.7, 0.9],
    ['three replicas in rounds of two, without momentum', 3, 2, 1, 0],
  ] as const)('have the losses and the last state of the reference: %s', async (_, count, syncEvery, outerLr, outerMomentum) => {
    const settings = { syncEvery, outerLr, outerMomentum, gradientAccumulationSteps: count }
    const { reports, result } = await runOf(model, settings)
    const { state, losses } = replay(model, settings)
    expect(disagreements(compareStates(model, target, { reference: state, accelerated: result.last }, 'run', 0))).toEqual([])
    assertClose(
      reports.map(({ loss }) => loss),
      losses,
      { relative: 1e-9, name: 'losses' },
    )
    expect(reports.map(({ step }) => step)).toEqual(losses.map((_loss, i) => i + 1))
    expect(phaseIn(result.last).stage).toBe('before')
  })

  it('are plain training where one replica takes the whole outer step', async () => {
    const one = { outerLr: 1, outerMomentum: 0, gradientAccumulationSteps: 1 }
    const [plain, inRounds] = [await runOf(model, { ...one, syncEvery: 1 }), await runOf(model, { ...one, syncEvery: 3 })]
    for (const vector of ['parameters', 'firstMoment', 'secondMoment'] as const)
      assertClose(inRounds.result.last[vector], plain.result.last[vector], { relative: 1e-12, absolute: 1e-15, name: vector })
    const numbers = ({ reports }: typeof plain) =>
      reports.flatMap(({ loss, taskLoss, gradientNorm, tokens }) => [loss, taskLoss, gradientNorm, tokens])
    assertClose(numbers(inRounds), numbers(plain), { relative: 1e-12, name: 'reports' })
  })
})
