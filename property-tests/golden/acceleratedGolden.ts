/** The production graphs on a golden checkpoint: folder → frozen weights → objective → step, as training builds them. */
import { openModelFolder } from '../../accelerated/files/modelFolder.js'
import { adapterModules } from '../../accelerated/models/encoderConfig.js'
import type { Feeds } from '../../accelerated/runtime/feeds.js'
import { floatFeed } from '../../accelerated/runtime/feeds.js'
import { frozenWeights, weightFiles } from '../../accelerated/files/frozenWeights.js'
import { gateAdam } from '../../accelerated/methods/salora/gateControl.js'
import { input } from '../../accelerated/graph/operators.js'
import { sampleGate } from '../../accelerated/methods/salora/hardConcrete.js'
import { noDropout } from '../../accelerated/models/layers/dropout.js'
import { flatten, parameterLayout, zeros, type ParameterLayout, type Vector } from '../../accelerated/training/parameterVector.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { openSession, type Session } from '../../accelerated/runtime/session.js'
import { saloraObjective, saloraTrainables, type Gating } from '../../accelerated/methods/salora/salora.js'
import { adamw } from '../../accelerated/training/adamwDefaults.js'
import type { Vectors } from '../../accelerated/training/runState.js'
import { batchFeeds } from '../../accelerated/training/trainFeeds.js'
import { trainingStep, type Accumulation, type Objective, type Scalar } from '../../accelerated/training/trainingStep.js'
import { scalarFeeds } from '../../evaluation/agreement/translate.js'
import type { Numbers } from '../../evaluation/agreement/rows.js'
import { examplesOf, folderOf, type Family, type Golden, type GoldenBatch } from './golden.js'

/** (7), (9) and (12)'s constants; plain LoRA has none of them. */
export type GateSettings = Readonly<Record<'tau' | 'gamma' | 'zeta' | 'beta' | 'targetDensity', number>>
const plain: GateSettings = { tau: 1, gamma: -0.1, zeta: 1.1, beta: 0, targetDensity: 1 }

export type GoldenRun = {
  readonly layout: ParameterLayout
  readonly openStep: (accumulation: Accumulation) => Promise<Session>
  /** Everything but the state. @param step from 1 */
  readonly feeds: (batch: GoldenBatch, step: number) => Feeds
  readonly start: (values: ReadonlyMap<string, { readonly data: Numbers }>) => Vectors
  readonly logits: (parameters: Vector, batch: GoldenBatch) => Promise<ReadonlyArray<number>>
}

export const openGoldenRun = async (
  family: Family,
  { lora }: Golden,
  dtype: Scalar,
  gating: Gating = 'open',
  settings: GateSettings = plain,
): Promise<GoldenRun> => {
  const model = await openModelFolder(folderOf(family))
  const { config } = model
  const modules = adapterModules(config).map((module) => ({ ...module, r: lora.rank }))
  const layout = parameterLayout(saloraTrainables(config, modules, gating))
  const frozen = frozenWeights(model, dtype)
  const session = { device: 'cpu', threads: 1, weightFiles: await weightFiles(model) } as const
  const scale = lora.alpha / lora.rank
  return {
    layout,
    openStep: (accumulation) => {
      const objective = saloraObjective(config, frozen, modules, { ...settings, scale }, gating, noDropout, dtype, accumulation !== 'whole')
      const withGates: Objective = (parameter) => {
        const { loss, report } = objective(parameter)
        if (gating === 'open') return { loss, report }
        const logTheta = parameter('logTheta')
        return { loss, report: { ...report, gates: sampleGate(settings)(logTheta, input('u', logTheta.shape, dtype)) } }
      }
      return openSession(
        trainingStep(
          layout,
          withGates,
          { ...adamw, gateAdam, weightDecay: lora.weightDecay, clip: null, lambdaOptimizer: 'adam' },
          accumulation,
          dtype,
        ),
        session,
      )
    },
    feeds: (batch, step) => ({
      ...batchFeeds(config, examplesOf(batch), batch.labels.length, dtype).feeds,
      ...scalarFeeds(
        { learningRate: lora.learningRate, controlLearningRate: 0, multiplierLearningRate: 0, targetDensity: settings.targetDensity },
        { ...adamw, gateAdam },
        step,
        1,
        dtype,
      ),
      gradientSum: floatFeed(zeros(layout.size, dtype), [layout.size], dtype),
    }),
    start: (values) => ({
      parameters: flatten(layout, ({ name }) => values.get(name)?.data, dtype),
      firstMoment: zeros(layout.size, dtype),
      secondMoment: zeros(layout.size, dtype),
    }),
    logits: async (parameters, batch) => {
      const predictor = await openPredictor({ config, frozen, session, scale, dtype }, modules)
      return (await predictor.predict(parameters, examplesOf(batch), batch.labels.length).finally(predictor.release)).flat()
    },
  }
}
