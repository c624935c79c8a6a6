/** IA³ in PEFT's format: a vector of each adapted matrix, a column where it scales outputs and a row where it scales inputs. */
import { z } from 'zod'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { validate } from '../../errors/validate.js'
import { ia3, scalingOf, vectorName, type Ia3Phase } from '../../methods/ia3.js'
import { parseJson } from '../../storage/json.js'
import type { Storage } from '../../storage/storage.js'
import { resolveSettings } from '../../training/resolveSettings.js'
import type { Adapter, AdapterFormat, Weights } from '../adapter.js'
import { isBare } from '../../models/modelOutputs.js'
import { readAll } from '../adapterTensors.js'
import { openAdapterFolder } from './adapterFolder.js'
import { matchModules, targetedModules } from './loadPeft.js'
import { adapterContents, headTensors, modulePath, modulesToSave, peftPrefix, writeContents } from './peft.js'
import { configText, fansInOut, isPeftType, loraConfig } from './peftConfig.js'

export const peftIa3: AdapterFormat = {
  title: "PEFT's `IA3`",
  library: 'peft',
  write: (folder, adapter, _, storage) => {
    const { model, baseModelName, outputs, head, tensors } = adapter
    const { vectors } = adapter.phase as Ia3Phase
    const path = (name: string): string => modulePath(model, outputs, name)
    const columnsAndRows = vectors.map(({ name, ...scaling }): readonly [string, Weights] => [
      vectorKey(path(name)),
      { shape: fileShape(scaling), data: tensors.get(vectorName(name))?.data ?? new Float32Array(0) },
    ])
    const config = configText(
      { baseModelName, outputs, bare: isBare(model, outputs), modulesToSave: isBare(model, outputs) ? [] : modulesToSave(head) },
      {
        peft_type: 'IA3',
        target_modules: vectors.map(({ name }) => path(name)),
        feedforward_modules: vectors.filter(({ scales }) => scales === 'input').map(({ name }) => path(name)),
        fan_in_fan_out: fansInOut(model, vectors),
        init_ia3_weights: true,
      },
    )
    return writeContents(folder, adapterContents(adapter, [...columnsAndRows, ...headTensors(model, head)], config), storage)
  },
  read: async (folder, base, storage) => ((await isPeftType(folder, 'IA3', storage)) ? readVectors(folder, base, storage) : null),
}

const vectorKey = (path: string): string => `${peftPrefix}${path}.ia3_l`

const fileShape = ({ size, scales }: Pick<Ia3Phase['vectors'][number], 'size' | 'scales'>): readonly number[] =>
  scales === 'input' ? [1, size] : [size, 1]

const ia3Config = loraConfig
  .pick({
    task_type: true,
    base_model_name_or_path: true,
    target_modules: true,
    exclude_modules: true,
    modules_to_save: true,
    fan_in_fan_out: true,
  })
  .extend({ peft_type: z.literal('IA3'), feedforward_modules: loraConfig.shape.target_modules })
type Ia3Config = z.infer<typeof ia3Config>

const parseIa3Config = (text: string, where: string): Ia3Config =>
  validate<Ia3Config>(ia3Config, parseJson(text, where), where, 'an IA³ configuration')

/** @throws InputError if the configuration is not IA³'s, or if a tensor is missing, unexpected, of another shape or not finite */
const readVectors = async (folder: string, base: ModelFolder, storage: Storage): Promise<Adapter> => {
  const opened = await openAdapterFolder(folder, base, parseIa3Config, storage)
  const { config, configFile, model, tensors, outputs, labelNames, checkTensors, readHead } = opened
  const modules = targetedModules(config, model.spec.matrices, model, tensors, configFile, vectorKey)
  const paths = modules.map(({ path }) => path)
  const { feedforward_modules: inputs } = config
  // Of these lists, PEFT compares the ends of paths, whole names or not.
  const isInput =
    typeof inputs === 'string' ? matchModules(inputs, paths, configFile) : paths.map((path) => inputs.some((end) => path.endsWith(end)))
  const vectors = modules.map((module, i) => ({ ...scalingOf(module, isInput[i] ? 'input' : 'output'), key: vectorKey(module.path) }))
  checkTensors(vectors.map((vector) => [vector.key, fileShape(vector)] as const))
  const keys = new Map(vectors.map(({ name, key }) => [vectorName(name), key]))
  const read = await readAll(tensors, keys.keys(), (name) => keys.get(name) ?? name)
  return {
    model,
    baseModelName: config.base_model_name_or_path ?? '',
    method: ia3,
    settings: resolveSettings({ method: 'ia3' }),
    phase: { vectors: vectors.map(({ key: _, ...vector }) => vector) } satisfies Ia3Phase,
    tensors: new Map([...read].map(([name, { data }]) => [name, { shape: [data.length], data }])),
    outputs,
    head: await readHead(),
    labelNames,
  }
}
