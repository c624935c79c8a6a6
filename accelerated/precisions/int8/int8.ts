/**
 * int8: the frozen matrices of the layers in eight bits, in both directions of a step; everything else in float32. SwitchBack (Wortsman et
 * al., 2023) without its third product, which a frozen matrix has no use for. A wrap of the host: no model and no method knows of it.
 */
import { quantisedMatMul, quantisedOf } from '../../graph/operators.js'
import { withBias } from '../../models/host.js'
import { SettingsError } from '../../settingsError.js'
import { largeLevels } from './quantise.js'
import type { Precision } from '../precision.js'

export const int8: Precision = {
  name: 'int8',
  summary: 'frozen matrices in eight bits, the rest in float32: faster on a CPU with VNNI',
  dtype: 'float32',

  runsOn: ({ quantisedMatMul }) => quantisedMatMul === true,

  weightBytes: ({ model, frozen }) => {
    const matrices = model.outline.matrices.reduce((sum, { d, k }) => sum + d * k, 0)
    const numbers = [...frozen.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    return matrices * (matrices < largeLevels ? 2 : 1) + 4 * (numbers - matrices)
  },

  advantage: async (device, threads) => (await import('../advantage.js')).int8Advantage(device, threads),

  check: (trained, { model }, method) => {
    if (model.outline.matrices.every(({ name }) => trained.has(`${name}.weight`)))
      throw new SettingsError('precision', `float32 with method ${method}, which trains the matrices that int8 would freeze`, 'int8')
  },

  open: async function* (base, cache) {
    const { openQuantised } = await import('./quantisedWeights.js') // files are Node's, arithmetic is not
    return yield* openQuantised(base, cache)
  },

  outline: async (base) => (await import('./quantisedWeights.js')).quantisedOutline(base),

  wrap: (host) => ({
    ...host,
    linear: (name, x) => {
      const matrix = quantisedOf(host.tensor(`${name}.weight`))
      return matrix === null ? host.linear(name, x) : withBias(quantisedMatMul(x, matrix), host.bias(name))
    },
  }),
}
