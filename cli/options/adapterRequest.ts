/** From the flags of an adapter to the options that open it. */
import { join } from 'node:path'
import { resolveAdapter } from '../../accelerated/checkpoints/hub/hubAdapter.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Settings } from '../../accelerated/training/settings.js'
import type { TrainedAdapterOptions } from '../../finetuning/adapters/trainedAdapter.js'
import { requiredError, usageError } from '../../finetuning/commandLine/usageError.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'
import { absoluteModel } from '../../finetuning/runs/absolutePath.js'
import { hasAdapter } from '../../finetuning/serving/runOptions.js'
import { readRunConfig } from '../../finetuning/runs/runFiles.js'
import { layer, settingsOf } from './layers.js'
import { nearbyRun } from './nearbyRun.js'
import type { Values } from './settingFlags.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { taskOptions } from './taskRequest.js'

export type AdapterRequest = {
  readonly adapter: TrainedAdapterOptions
  /** null without a run */
  readonly runSettings: Settings | null
  /** what the run was trained on; null without a run */
  readonly runTask: TaskOptions | null
}

const machineNames: ReadonlyArray<string> = ['device', 'precision', 'threads', 'maxLength', 'batchSize']

/** @param flags parsed values; flags of other purposes are ignored @throws UsageError, SettingsError or InputError with one line */
export const adapterRequest = async (flags: Values): Promise<AdapterRequest> => {
  const [run, adapter, model] = [stringOf(flags['run']), stringOf(flags['adapter']), stringOf(flags['model'])]
  if (run === null && adapter === null && model === null)
    throw requiredError('--run', 'the folder of a run (or --model, with --adapter or a head of its own)')
  if (run !== null && adapter !== null) throw usageError('--adapter', 'either --run or --adapter', 'both')
  if (run === null && model === null) throw requiredError('--model', 'the model that the adapter belongs to')
  const earlier = run === null ? null : await runConfig(run)
  // a run of another version may have other settings besides
  const settings = settingsOf([
    layer(run === null ? null : join(run, 'config.json'), ofMachine(earlier?.settings ?? {})),
    layer(null, ofMachine(flags)),
  ])
  return {
    adapter: {
      model: absoluteModel(model ?? earlier?.model ?? ''),
      ...(model === null && typeof earlier?.revision === 'string' ? { revision: earlier.revision } : {}),
      adapter: run !== null ? join(run, 'adapter') : adapter === null ? null : await resolveAdapter(adapter),
      ...(earlier?.inputs === undefined || run === null ? {} : { trainedBy: { run, inputs: earlier.inputs } }),
      ...(Array.isArray(flags['labels']) ? { labelNames: flags['labels'].map(String) } : {}),
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

const ofMachine = (values: Values): Values => Object.fromEntries(Object.entries(values).filter(([name]) => machineNames.includes(name)))

const runConfig = async (run: string) => {
  const config = await readRunConfig(run)
  if (config === null)
    throw inputError(`--run ${run}`, 'the folder of a run of salora train', `no config.json there${await nearbyRun(run)}`)
  if (!(await hasAdapter(join(run, 'adapter'))))
    throw inputError(
      `--run ${run}`,
      'a run with an adapter',
      `one without (it has not ended: salora train --resume --output ${inShell(run)} resumes it)`,
    )
  return config
}

const stringOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)
