/** The production graphs on a golden checkpoint: folder → frozen weights → assembly → step, as training builds them, for any method. */
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { frozenWeights, weightSource } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { TrainingProgress } from '../../accelerated/methods/method.js'
import type { TensorSource } from '../../accelerated/models/host.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import type { Results, Session } from '../../accelerated/engines/engine.js'
import type { Feeds } from '../../accelerated/engines/feeds.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { assemble, buildLayout, type Assembly } from '../../accelerated/training/assembly.js'
import { stepGraph, type StepGraph } from '../../accelerated/training/stepGraph.js'
import type { ParameterLayout } from '../../accelerated/parameters/layout.js'
import { flatten, zeros, type Vector } from '../../accelerated/parameters/vectors.js'
import type { Runtime } from '../../accelerated/training/phaseSessions.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import type { Numbers } from '../../evaluation/agreement/rows.js'
import { examplesOf, folderOf, type Family, type GoldenBatch } from './golden.js'

export type GoldenRun = {
  readonly layout: ParameterLayout
  readonly start: (values: ReadonlyMap<string, { readonly data: Numbers }>) => RunState
  /** loss, report and gradients of one batch; `more` feeds what no step of a run draws */
  readonly gradients: (
    state: RunState,
    batch: GoldenBatch,
    more?: Feeds,
  ) => Promise<{ readonly results: Results; readonly gradients: Vector }>
  /** One step as a run takes it, at its place in the schedule and in the phase of that step. `more` feeds as for gradients. */
  readonly step: (
    state: RunState,
    batch: GoldenBatch,
    more?: Feeds,
  ) => Promise<{ readonly state: RunState; readonly loss: number; readonly results: Results }>
  readonly logits: (parameters: Vector, batch: GoldenBatch) => Promise<readonly number[]>
  readonly release: () => Promise<void>
}

export type GoldenOptions = {
  readonly family: Family
  readonly dtype: FloatType
  /** method and its settings; those of AdamW among them */
  readonly settings: SettingsInput
  /** the phase to be in, from that which the method starts with */
  readonly phase?: (start: unknown) => unknown
  readonly steps: number
  /** outputs of the gradients' graph beside those of training */
  readonly more?: (parameter: TensorSource) => StepGraph['outputs']
}

/** The learning rate is constant, as in the golden runs, and there is no dropout but a method's own, whose masks `more` has to feed. */
export const openGoldenRun = async ({ family, dtype, settings: given, phase: enter, steps, more }: GoldenOptions): Promise<GoldenRun> => {
  const base = await openModelFolder(folderOf(family))
  const settings = resolveSettings({ dropout: 0, precision: dtype, ...given })
  const method = findMethod(settings.method)
  const parts = { model: base.model, frozen: frozenWeights(base, dtype), method, settings, precision: findPrecision(dtype) }
  const labels = 3
  const assembly = assemble(parts, (model) => sequenceClassification(model, { labels, problemType: 'single_label_classification' }))
  const phase = (enter ?? ((same) => same))(method.phases.start(base.model.spec, settings))
  const runtime: Runtime = { engine: findDevice('cpu').engine({ threads: 1 }), weights: weightSource(base) }
  const layout = buildLayout(assembly, phase)
  const update = ofOnePhase(async (ofPhase) => {
    const { outputs, ...graph } = stepGraph(assembly, ofPhase, 'whole')
    const session = await runtime.engine.open(outputs, runtime.weights)
    return { layout: graph.layout, update: session, release: session.release }
  })
  const predictor = ofOnePhase((ofPhase) => openPredictor(assembly, assembly.objective, ofPhase, runtime))
  let add: Session | null = null
  const progressOf = ({ step: done }: RunState): TrainingProgress => ({ step: done, steps })
  const advanced = (state: RunState): RunState => {
    const next = method.phases.advance?.(state.phase, settings, progressOf(state), {
      vectors: state,
      buildLayout: (of) => buildLayout(assembly, of),
      dtype,
    })
    return next == null ? state : { ...next.vectors, step: state.step, phase: next.phase }
  }
  return {
    layout,
    start: (values) => ({
      step: 0,
      phase,
      parameters: flatten(layout, ({ name }) => values.get(name)?.data, dtype),
      firstMoment: zeros(layout.size, dtype),
      secondMoment: zeros(layout.size, dtype),
      memory: Object.fromEntries(
        (method.train.optimizerExtension?.(phase, settings).names ?? []).map((name) => [name, zeros(layout.size, dtype)]),
      ),
    }),
    gradients: async (state, batch, extra = {}) => {
      const gradientSum = zeros(layout.size, dtype)
      const feeds = { ...feedsOf(assembly, batch, progressOf(state), state), ...stateFeeds(layout, state, dtype), ...extra }
      const sum = blockFeeds(layout, 'gradientSum', zeros(layout.size, dtype), dtype)
      add ??= await runtime.engine.open(stepGraph(assembly, phase, 'add', more).outputs, runtime.weights)
      const results = await add.run({ ...feeds, ...sum }, resultsInto(layout, { gradientSum }))
      collect(layout, { gradientSum }, results)
      return { results, gradients: gradientSum }
    },
    step: async (given, batch, extra = {}) => {
      const state = advanced(given)
      const opened = await update.of(state.phase)
      const fed: Session = { ...opened.update, run: (feeds, into) => opened.update.run({ ...feeds, ...extra }, into) }
      const gradientSession = { ...opened, update: fed, add: null, sites: [], pools: {}, release: async () => undefined }
      const context = {
        assembly,
        objective: assembly.objective,
        progress: progressOf(state),
        learningRate: settings.learningRate ?? NaN,
        spare: null,
      }
      const outcome = await trainStep(context, gradientSession, state, [examplesOf(batch)])
      return { state: outcome.state, loss: outcome.loss, results: outcome.results }
    },
    logits: async (parameters, batch) => {
      const plain = method.phases.inference?.(phase, settings, parameters, { buildLayout: (of) => buildLayout(assembly, of), dtype }) ?? {
        phase,
        parameters,
      }
      const { predict } = await predictor.of(plain.phase)
      return (await predict(plain.parameters, examplesOf(batch), batch.labels.length)).flat()
    },
    release: async () => {
      await update.release()
      await add?.release()
      await predictor.release()
    },
  }
}

/** Sessions of one phase: opened when a test needs them, and released when it needs another phase. */
const ofOnePhase = <S extends { readonly release: () => Promise<void> }>(open: (phase: unknown) => Promise<S>) => {
  let current: { readonly phase: unknown; readonly opened: S } | null = null
  return {
    of: async (phase: unknown): Promise<S> => {
      if (current !== null && current.phase !== phase) await current.opened.release()
      if (current === null || current.phase !== phase) current = { phase, opened: await open(phase) }
      return current.opened
    },
    release: async (): Promise<void> => current?.opened.release(),
  }
}

const feedsOf = (
  assembly: Assembly & { readonly objective: ReturnType<typeof sequenceClassification> },
  batch: GoldenBatch,
  progress: TrainingProgress,
  { phase }: RunState,
): Feeds => {
  const { method, settings, objective, precision } = assembly
  const prepared = objective.prepare(examplesOf(batch), { seed: 0, step: progress.step })
  const controls = Object.entries(method.train.controls?.(phase, settings, progress) ?? {}).map(([name, value]) => {
    const numbers = typeof value === 'number' ? [value] : value
    const data = precision.dtype === 'float64' ? Float64Array.from(numbers) : Float32Array.from(numbers)
    return [name, { data, shape: typeof value === 'number' ? [] : [data.length] }] as const
  })
  return { ...batchFeeds(assembly, prepared, prepared.weight).feeds, ...Object.fromEntries(controls) }
}
