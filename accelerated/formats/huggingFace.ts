/** A whole model in Hugging Face layout: what full fine-tuning hands over. */
import { startPhase } from '../methods/startPhase.js'
import { resolveSettings, methodOf } from '../training/settings.js'
import { headTensor, openModelFolder } from '../checkpoints/modelFolder.js'
import { fileInFolder } from '../storage/fileInFolder.js'
import { inputError } from '../errors/inputError.js'
import { headOf } from '../models/modelOutputs.js'
import type { AdapterFormat, Weights } from './adapter.js'
import { readWeights } from './adapterTensors.js'
import { exportMerged } from './exportMerged.js'

export const huggingFace: AdapterFormat = {
  title: 'a whole model in Hugging Face layout',
  library: 'transformers',
  write: (folder, adapter, base) =>
    exportMerged(folder, { base, adapter, head: adapter.head }, adapter.labelNames, 'float32', adapter.settings.maxLength),
  read: async (folder, base) => {
    if ((await fileInFolder(folder, 'config.json')) === undefined || (await fileInFolder(folder, 'adapter_config.json')) !== undefined)
      return null
    const found = await openModelFolder(folder)
    const { model, outputs, labelNames } = found
    if (JSON.stringify([...model.spec.tensors]) !== JSON.stringify([...base.model.spec.tensors]))
      throw inputError(folder, `a model of the shape of ${base.folder}`, 'one of another')
    const method = methodOf('full')
    const settings = resolveSettings({ method: 'full' })
    const tensors = new Map<string, Weights>()
    for (const [name, entry] of found.tensors) tensors.set(name, await readWeights(entry))
    const head = new Map<string, Weights>()
    for (const [name, shape] of headOf(model, outputs, method).tensors) {
      const entry = headTensor(found, name, shape)
      if (entry !== undefined) head.set(name, await readWeights(entry))
    }
    return {
      model,
      baseModelName: base.baseModelName,
      method,
      settings,
      phase: startPhase(method, model.spec, settings),
      tensors,
      outputs,
      head,
      labelNames,
    }
  },
}
