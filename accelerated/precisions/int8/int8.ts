/**
 * int8: the frozen matrices of the layers in eight bits, in both directions of a step; everything else in float32. SwitchBack (Wortsman et
 * al., 2023) without its third product, which a frozen matrix has no use for. A wrap of the host: no model and no method knows of it.
 */
import { checkUnchanged, locateFiles } from '../../files/safetensors/weightFiles.js'
import type { Expression } from '../../graph/expression.js'
import { add, dequantise, quantisedMatMul, quantisedOf, weight } from '../../graph/operators.js'
import { SettingsError } from '../../settingsError.js'
import type { Precision } from '../precision.js'
import { int8Advantage } from './advantage.js'
import { partsOf, quantisedFile } from './quantisedFile.js'

export const int8: Precision = {
  name: 'int8',
  summary: 'frozen matrices in eight bits, the rest in float32: faster on a CPU with VNNI',
  dtype: 'float32',

  runsOn: ({ quantisedMatMul }) => quantisedMatMul === true,

  advantage: int8Advantage,

  check: (trained, { model }, method) => {
    if (model.outline.matrices.every(({ name }) => trained.has(`${name}.weight`)))
      throw new SettingsError('precision', `float32 with method ${method}, which trains the matrices that int8 would freeze`, 'int8')
  },

  open: async function* (base, cache) {
    const { folder, file, tensors } = yield* quantisedFile(base, cache)
    const files = await locateFiles(folder, [file])
    const stored = (name: string): Expression => {
      const entry = tensors.get(name)
      if (entry === undefined) throw new Error(`int8: expected a tensor of the encoder, found ${name}`)
      const location = files.locations.get(file) ?? file
      return weight(name, entry.shape, entry.dtype === 'I8' ? 'int8' : 'float32', { location, offset: entry.offset, length: entry.length })
    }
    const known = new Map<string, Expression>()
    return {
      tensor: (name) => {
        const parts = partsOf(name)
        const found =
          known.get(name) ??
          (tensors.has(parts.levels)
            ? dequantise({ levels: stored(parts.levels), transposed: stored(parts.transposed), scales: stored(parts.scales) })
            : stored(name))
        known.set(name, found)
        return found
      },
      weights: async () => {
        await checkUnchanged(files)
        return files.folder
      },
    }
  },

  wrap: (host) => ({
    ...host,
    linear: (name, x) => {
      const matrix = quantisedOf(host.tensor(`${name}.weight`))
      return matrix === null ? host.linear(name, x) : add(quantisedMatMul(x, matrix), host.tensor(`${name}.bias`))
    },
  }),
}
