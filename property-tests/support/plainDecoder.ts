/** Small decoders without an adapter: a configuration to vary, and the assembly of a model. */
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { llama, noScales } from '../../accelerated/models/llama/family.js'
import type { Model } from '../../accelerated/models/architecture.js'
import type { TensorSource } from '../../accelerated/models/host.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { Assembly } from '../../accelerated/training/assembly.js'

/** One layer without biases, windows or dropout, whose head is its word table. */
export const decoderConfig = {
  layers: 1,
  rmsNormEpsilon: 1e-6,
  rotaryScaling: null,
  windows: [null],
  biases: { queryKeyValue: false, attentionOutput: false, feedForward: false },
  ...{ norms: llama.norms, normOffset: llama.normOffset, queryKeyNorms: llama.queryKeyNorms, activation: llama.activation.value },
  ...noScales,
  tied: true,
  paddingIndex: 0,
  attentionDropout: 0,
} as const

export const plainAssembly = (model: Model, frozen: TensorSource, dtype: FloatType): Assembly => ({
  model,
  frozen,
  method: {
    ...findMethod('full'),
    train: { tensors: () => [], wrap: () => (host) => host },
    phases: { ...findMethod('full').phases, start: () => ({}) },
  },
  settings: resolveSettings({ method: 'full', precision: dtype }),
  objective: causalLM(model),
  precision: findPrecision(dtype),
})
