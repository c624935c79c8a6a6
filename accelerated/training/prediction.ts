/** Prediction: outputs of many examples from the parameters of an open layout, in batches of similar length. */
import { input } from '../graph/operators.js'
import type { EncoderConfig } from '../models/encoderConfig.js'
import type { TensorSource } from '../models/encoder.js'
import { floatFeed } from '../runtime/feeds.js'
import type { TokenisedExample } from '../models/packing.js'
import type { Vector } from './parameterVector.js'
import { parameterLayout, splitParameters } from './parameterVector.js'
import type { SessionSettings } from '../runtime/session.js'
import { openSession } from '../runtime/session.js'
import type { AdaptedModule } from '../methods/salora/salora.js'
import { saloraTrainables, sequenceInference } from '../methods/salora/salora.js'
import { inBatches } from './batchOrder.js'
import { encoderFeeds } from './trainFeeds.js'
import type { Scalar } from './trainingStep.js'

export type PredictorSettings = {
  readonly config: EncoderConfig
  readonly frozen: TensorSource
  readonly session: SessionSettings
  /** factor of B A */
  readonly scale: number
  readonly dtype: Scalar
}

/** → [examples][labels], in the order given */
export type Predictor = {
  readonly predict: (
    parameters: Vector,
    examples: ReadonlyArray<TokenisedExample>,
    batchSize: number,
  ) => Promise<ReadonlyArray<ReadonlyArray<number>>>
  readonly release: () => Promise<void>
}

export const openPredictor = async (
  { config, frozen, session, scale, dtype }: PredictorSettings,
  modules: ReadonlyArray<AdaptedModule>,
): Promise<Predictor> => {
  const layout = parameterLayout(saloraTrainables(config, modules, 'open'))
  const tensors = splitParameters(layout, input('parameters', [layout.size], dtype))
  const forward = await openSession(
    sequenceInference(
      config,
      frozen,
      modules,
      scale,
      dtype,
    )((name) => {
      const tensor = tensors.get(name)
      if (tensor === undefined) throw new Error(`openPredictor: expected ${name} among the trained tensors`)
      return tensor
    }),
    session,
  )
  return {
    release: forward.release,
    predict: async (parameters, examples, batchSize) => {
      const outputs = new Array<ReadonlyArray<number>>(examples.length)
      const byLength = examples.map((_, i) => i).sort((a, b) => (examples[b]?.inputIds.length ?? 0) - (examples[a]?.inputIds.length ?? 0))
      for (const rows of inBatches(byLength, batchSize)) {
        const { feeds } = encoderFeeds(
          config,
          rows.map((row) => examples[row] as TokenisedExample),
          dtype,
        )
        const { logits } = await forward.run({ ...feeds, parameters: floatFeed(parameters, [layout.size], dtype) })
        rows.forEach((row, i) => {
          outputs[row] = Array.from({ length: config.labels }, (_, j) => Number(logits?.[i * config.labels + j]))
        })
      }
      return outputs
    },
  }
}
