/** What is to answer: the adapter of a run (--run), one in a folder on a model (--model, --adapter), or a model that classifies as it is (--model). */
import { join } from 'node:path'
import type { Command } from 'commander'
import { inputError } from '../../accelerated/errors/inputError.js'
import { allSettings, type Settings } from '../../accelerated/training/settings.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'
import { placed } from '../../finetuning/runs/absolutePath.js'
import { readRunConfig } from '../../finetuning/runs/runFiles.js'
import type { TrainedAdapterOptions } from '../../finetuning/adapters/trainedAdapter.js'
import { withOffline } from '../terminal/command.js'
import { flagValues, listOf, type Values } from './flagValues.js'
import { settingsOf, taskOptions } from './trainRequest.js'
import { addFlags } from './trainFlags.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export type AdapterRequest = {
  readonly adapter: TrainedAdapterOptions
  /** null where no run was named */
  readonly runSettings: Settings | null
  /** what the run was trained on; null where no run was named */
  readonly runTask: TaskOptions | null
}

const machineFlags = ['device', 'precision', 'threads', 'maxLength', 'batchSize']

export const addAdapterFlags = (command: Command, machine: ReadonlyArray<string> = machineFlags): Command =>
  addModelFlags(command, machine).option(
    '--labels <names>',
    'of an adapter or a model made elsewhere that names no classes: theirs, in the order of its outputs, with commas',
  )

/** The same of what has no classes. */
export const addModelFlags = (command: Command, machine: ReadonlyArray<string>): Command => {
  command
    .option('--run <folder>', 'a run of salora train')
    .option('--model <folder|id>', 'instead of --run: the model')
    .option('--adapter <folder>', "instead of --run: the adapter, in PEFT's layout or that of the adapters library")
  return withOffline(addFlags(command, machine, Object.fromEntries(machine.map((name) => [name, runDefault(name)]))))
}

/** The run's own, which it was trained with; without a run as in training, but for a model of fewer positions. */
const runDefault = (name: string): string => `the run's; without a run ${String(allSettings[name]?.schema.parse(undefined))}`

/** @throws UsageError, SettingsError or Mistake with one line */
export const adapterRequest = async (given: Values): Promise<AdapterRequest> => {
  const flags = flagValues(given)
  const [run, adapter, model] = [given['run'], given['adapter'], flags['model']].map((value) =>
    typeof value === 'string' ? value : null,
  ) as [string | null, string | null, string | null]
  if (run === null && adapter === null && model === null)
    throw usageError('--run', 'the folder of a run (or --model, with --adapter or a head of its own)', 'none given')
  if (run !== null && adapter !== null) throw usageError('--adapter', 'either --run or --adapter', 'both')
  if (run === null && model === null) throw usageError('--model', 'the model that the adapter belongs to', 'none given')
  const earlier = run === null ? null : await runConfig(run)
  const settings = settingsOf({
    ...ofMachine(earlier?.settings ?? {}), // the others may be of another version
    ...ofMachine(flags),
  })
  return {
    adapter: {
      model: placed(model ?? earlier?.model ?? ''),
      ...(model === null && typeof earlier?.revision === 'string' ? { revision: earlier.revision } : {}),
      adapter: run === null ? adapter : join(run, 'adapter'),
      ...(earlier?.inputs === undefined || run === null ? {} : { trainedBy: { run, inputs: earlier.inputs } }),
      ...(typeof given['labels'] === 'string' ? { labelNames: listOf('--labels', given['labels']) } : {}),
      device: settings.device,
      precision: settings.precision,
      threads: settings.threads,
      batchSize: settings.batchSize,
      maxLength: earlier !== null || flags['maxLength'] !== undefined ? settings.maxLength : null,
    },
    runSettings: earlier?.settings ?? null,
    runTask: earlier === null ? null : taskOptions(earlier.task),
  }
}

const ofMachine = (values: Values): Values => Object.fromEntries(Object.entries(values).filter(([name]) => machineFlags.includes(name)))

const runConfig = async (run: string) => {
  const config = await readRunConfig(run)
  if (config === null) throw inputError(`--run ${run}`, 'the folder of a run of salora train', 'no config.json there')
  return config
}
