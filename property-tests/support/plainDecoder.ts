/** A decoder without an adapter, as an assembly. */
import { precisionOf } from '../../accelerated/commonSettings.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Model } from '../../accelerated/models/architecture.js'
import type { TensorSource } from '../../accelerated/models/host.js'
import { causal } from '../../accelerated/objectives/causal.js'
import { methodOf, resolveSettings } from '../../accelerated/settings.js'
import type { Assembly } from '../../accelerated/training/assembly.js'

export const plainAssembly = (model: Model, frozen: TensorSource, dtype: FloatType): Assembly => ({
  model,
  frozen,
  method: { ...methodOf('full'), start: () => ({}), tensors: () => [], wrap: () => (host) => host },
  settings: resolveSettings({ method: 'full', precision: dtype }),
  objective: causal(model),
  precision: precisionOf(dtype),
})
