/**
 * mixed: the frozen matrices of the layers and their products in float16, everything else in float32. Each row of activations and gradients has its
 * own scale. The row scales replace the loss scale of mixed-precision training (Micikevicius et al., 2018). They follow the gradients within a step,
 * so no step is lost to a scale that was too large. A resumed run has no scale to restore. It is a wrap of the host, so models and methods do
 * not know about it.
 */
import { cast } from '../graph/operators.js'
import { halfMatMul, matchHalf } from '../graph/quantizedOperators.js'
import { withBias, type TensorSource } from '../models/host.js'
import type { ModelSpec } from '../models/architecture.js'
import { SettingsError } from '../errors/expectedErrors.js'
import type { Precision } from './precision.js'

export const mixed: Precision = {
  name: 'mixed',
  summary: 'frozen matrices and their products in float16, the rest in float32, for GPUs',
  dtype: 'float32',
  exactAs: 'float16',

  runsOn: ({ halfMatMul: has }) => has === true,

  weightBytes: ({ model, frozen }) => {
    const matrices = model.spec.matrices.reduce((sum, { d, k }) => sum + d * k, 0)
    const numbers = [...frozen.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    return 2 * matrices + 4 * (numbers - matrices)
  },

  tryOn: async (device) => (await import('./speedup.js')).tryHalf(device),

  speedup: async (device) => (await import('./speedup.js')).float16Speedup(device),

  check: (trained, { model }, method) => {
    if (model.spec.matrices.every(({ name }) => trained.has(`${name}.weight`)))
      throw new SettingsError('precision', `float32 with method ${method}, which trains the matrices that mixed would freeze`, 'mixed')
  },

  // biome-ignore lint/correctness/useYield: it reports no progress
  open: async function* (base) {
    const { frozenWeights, weightSource } = await import('../checkpoints/frozenWeights.js')
    return { tensor: halved(base.model.spec, frozenWeights(base, 'float32')), weights: weightSource(base) }
  },

  placeholders: async (base) => halved(base.model.spec, (await import('../checkpoints/frozenWeights.js')).frozenWeights(base, 'float32')),

  wrap: (host) => ({
    ...host,
    linear: (name, x) => {
      const half = matchHalf(host.tensor(`${name}.weight`))
      return half === null ? host.linear(name, x) : withBias(halfMatMul(x, half), host.bias(name))
    },
  }),
}

/** The same tensors with the layers' matrices in float16: as their file has them, or rounded once when a session opens. */
export const halved = ({ matrices: adapted }: Pick<ModelSpec, 'matrices'>, tensor: TensorSource): TensorSource => {
  const matrices = new Set(adapted.map(({ name }) => `${name}.weight`))
  return (name) => {
    const whole = tensor(name)
    return matrices.has(name) && matchHalf(whole) === null ? cast(cast(whole, 'float16'), 'float32') : whole
  }
}
