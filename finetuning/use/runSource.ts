/** What a run's folder says about its adapter: the model, the settings of the machine, the length of texts, and the columns. */
import { join } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import { resolveSettings, type Settings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { TrainedAdapterOptions } from './openModel.js'
import { GLUE_TASKS, type GlueName } from '../data/glueTasks.js'
import { absoluteModel } from '../run/absolutePath.js'
import type { RunConfig } from '../run/run.js'
import { readRunConfig } from '../run/runFiles.js'

/** The columns of the texts that a run was trained on. */
export type RunColumns = { readonly text: string; readonly textPair?: string }

export type RunSource = {
  readonly config: RunConfig
  readonly adapter: TrainedAdapterOptions & { readonly adapter: string; readonly maxLength: number }
  readonly columns: RunColumns
}

/** What may differ from the training: the machine that answers is often another one. */
export type MachineChoice = Partial<Pick<TrainedAdapterOptions, 'device' | 'precision' | 'threads' | 'batchSize'>>

/** @throws InputError that says what to use instead, if the folder is no run or the run has no adapter yet */
export const runSource = async (run: string, machine: MachineChoice = {}): Promise<RunSource> => {
  await refuseOtherFolders(run)
  const config = await readRunConfig(run)
  if (config === null) throw inputError(run, expected, 'no config.json there')
  if (!(await hasAdapter(join(run, 'adapter'))))
    throw inputError(run, 'a run with an adapter', 'one without (it has not ended: resume it with salora train --resume)')
  const { device, precision, threads, batchSize, maxLength } = config.settings
  // a run of another version may have other settings besides
  const given = Object.fromEntries(Object.entries({ device, precision, threads, batchSize, ...machine }).filter(([, v]) => v !== undefined))
  const settings = resolveSettings({ ...given, maxLength } as SettingsInput)
  return {
    config,
    adapter: { ...trainedIn(run, config), ...machineIn(settings), maxLength: settings.maxLength },
    columns: runColumns(config),
  }
}

/** The model and the adapter of a run. */
export const trainedIn = (run: string, { model, revision, inputs, task }: RunConfig) => ({
  model: absoluteModel(model),
  revision: revision ?? undefined,
  adapter: join(run, 'adapter'),
  trainedBy: inputs === undefined ? undefined : { run, inputs },
  templateDate: task.templateDate,
})

/** What a machine needs to know of the settings. */
export const machineIn = ({ device, precision, threads, batchSize }: Settings): Required<MachineChoice> => ({
  device,
  precision,
  threads,
  batchSize,
})

/** GLUE's pairs have other columns in each of its sources, so they have our own names. */
export const runColumns = ({ task: { task, text = 'text', textPair } }: Pick<RunConfig, 'task'>): RunColumns => {
  const second = textPair ?? (isGluePair(task) ? 'textPair' : undefined)
  return { text, ...(second === undefined ? {} : { textPair: second }) }
}

const isGluePair = (task: string): boolean => {
  const columns = Object.hasOwn(GLUE_TASKS, task) ? GLUE_TASKS[task as GlueName].columns : null
  return columns?.header === true && columns.textPair !== undefined
}

const expected = 'the folder of a run of salora train'

const hasFile = async (folder: string, name: string): Promise<boolean> => (await fileInFolder(folder, name)) !== undefined

/** Whether a folder has a model in Hugging Face layout. */
export const isModel = async (folder: string): Promise<boolean> =>
  (await hasFile(folder, 'tokenizer.json')) &&
  ((await hasFile(folder, 'model.safetensors')) || (await hasFile(folder, 'model.safetensors.index.json')))

/** @throws InputError for an adapter and for a model: they open in another way */
const refuseOtherFolders = async (folder: string): Promise<void> => {
  if (await hasFile(folder, 'adapter_config.json'))
    throw inputError(folder, expected, 'an adapter (openTrainedAdapter({ model, adapter }) opens it, and salora predict --model --adapter)')
  if (await isModel(folder))
    throw inputError(folder, expected, 'a model (openTrainedAdapter({ model, adapter: null }) opens it, and salora predict --model)')
  if (await hasFile(folder, 'tokenizer.json'))
    throw inputError(folder, expected, 'a model in another format (transformers.js opens an ONNX model)')
}

/** Whether training has written an adapter, or a whole model where it trained all weights. */
export const hasAdapter = async (folder: string): Promise<boolean> =>
  (await fileInFolder(folder, 'adapter_config.json')) !== undefined || (await fileInFolder(folder, 'config.json')) !== undefined
