/** A decoder without an adapter, as an assembly. */
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Model } from '../../accelerated/models/architecture.js'
import type { TensorSource } from '../../accelerated/models/host.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { methodOf, resolveSettings } from '../../accelerated/training/settings.js'
import type { Assembly } from '../../accelerated/training/assembly.js'

export const plainAssembly = (model: Model, frozen: TensorSource, dtype: FloatType): Assembly => ({
  model,
  frozen,
  method: {
    ...methodOf('full'),
    train: { tensors: () => [], wrap: () => (host) => host },
    phases: { ...methodOf('full').phases, start: () => ({}) },
  },
  settings: resolveSettings({ method: 'full', precision: dtype }),
  objective: causalLM(model),
  precision: precisionOf(dtype),
})
