/** A whole model in Hugging Face layout: what full fine-tuning hands over. */
import { resolveSettings, methodOf } from '../settings.js'
import { headTensor, openModelFolder } from '../files/modelFolder.js'
import { fileInFolder } from '../files/safetensors/weightFiles.js'
import { mistake } from '../files/mistake.js'
import { headOf } from '../objectives/outputs.js'
import type { AdapterFormat, Weights } from './adapter.js'
import { readWeights } from './adapterTensors.js'
import { writeMergedFolder } from './mergedFolder.js'

export const huggingFace: AdapterFormat = {
  title: 'a whole model in Hugging Face layout',
  library: 'transformers',
  write: (folder, adapter, base) =>
    writeMergedFolder(folder, { base, adapter, head: adapter.head }, adapter.labelNames, 'float32', adapter.settings.maxLength),
  read: async (folder, base) => {
    if ((await fileInFolder(folder, 'config.json')) === undefined || (await fileInFolder(folder, 'adapter_config.json')) !== undefined)
      return null
    const found = await openModelFolder(folder)
    const { model, outputs, labelNames } = found
    if (JSON.stringify([...model.outline.tensors]) !== JSON.stringify([...base.model.outline.tensors]))
      throw mistake(folder, `a model of the shape of ${base.folder}`, 'one of another')
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
      phase: method.start(model.outline, settings),
      tensors,
      outputs,
      head,
      labelNames,
    }
  },
}
