/** A whole model in Hugging Face layout: the result of full fine-tuning. */
import { startPhase } from '../methods/startPhase.js'
import { resolveSettings, methodOf } from '../training/settings.js'
import { headTensor, openModelFolder } from '../checkpoints/modelFolder.js'
import { fileInFolder } from '../storage/paths.js'
import { inputError } from '../errors/inputError.js'
import { headOf } from '../models/modelOutputs.js'
import type { AdapterFormat, Weights } from './adapter.js'
import { readWeights } from './adapterTensors.js'
import { exportMerged } from './exportMerged.js'

export const huggingFace: AdapterFormat = {
  title: 'a whole model in Hugging Face layout',
  library: 'transformers',
  readsEmbeddings: true,
  write: (folder, adapter, base, storage) =>
    exportMerged(folder, { base, adapter, head: adapter.head }, adapter.labelNames, { maxLength: adapter.settings.maxLength, storage }),
  read: async (folder, base, storage) => {
    const has = async (name: string): Promise<boolean> => (await fileInFolder(folder, name, storage)) !== undefined
    if (!(await has('config.json')) || (await has('adapter_config.json'))) return null
    const trained = await openModelFolder(folder, { storage })
    const { model, outputs, labelNames } = trained
    if (JSON.stringify([...model.spec.tensors]) !== JSON.stringify([...base.model.spec.tensors]))
      throw inputError(folder, `a model of the same shape as ${base.folder}`, 'another shape')
    const method = methodOf('full')
    const settings = resolveSettings({ method: 'full' })
    const tensors = new Map<string, Weights>()
    for (const [name, entry] of trained.tensors) tensors.set(name, await readWeights(entry))
    const head = new Map<string, Weights>()
    for (const [name, shape] of headOf(model, outputs, method).tensors) {
      const entry = headTensor(trained, name, shape)
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
