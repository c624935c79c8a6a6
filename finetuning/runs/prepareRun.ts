/** Prepares a run in Node: finds the device, the data and the model by their names. */
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { lazyImport } from '../../accelerated/errors/lazyImport.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import type { LoadedMetric } from '../metrics/metricModule.js'
import { loadRunData } from './loadRunData.js'
import { openBaseModel } from './openBaseModel.js'
import { prepareTask, type PreparedRun, type SampledRun } from './prepareTask.js'
import type { FinetuneEvent, RunOptions } from './run.js'
import { bindTask } from './runData.js'
import type { Sampler } from './sampler.js'
import { checkGenerates } from './samplePrompts.js'

export type { PreparedRun }

/** @throws InputError, SettingsError or DeviceError for the first thing wrong in the options or in what they name */
export async function* prepareRun(
  options: RunOptions,
  signal: AbortSignal,
  metric: LoadedMetric | null = null,
): AsyncGenerator<FinetuneEvent, PreparedRun> {
  const { settings } = options
  const device = await chooseDevice(settings.device, settings)
  const precision = precisionOf(settings.precision)
  await checkDevice(precision, device)
  const card = (await device.card?.(settings.deviceId)) ?? null
  const data = yield* loadRunData(options, metric)
  if (options.samplePrompts !== undefined) checkGenerates(data.taskType, options.task, options.samplePrompts)
  return yield* bindTask(
    data,
    settings,
  )((task) =>
    prepareTask(
      options,
      data,
      task,
      { device, precision },
      {
        openBase: (outputs) => openBaseModel(options, data.taskType, outputs, precision, signal, card?.memoryBytes),
        samplerOf: (run) => samplerOf(options, run),
      },
    ),
  )
}

/** Generation is loaded where a run has prompts. */
const samplerOf = async ({ samplePrompts, task }: RunOptions, run: SampledRun): Promise<Sampler | null> => {
  if (samplePrompts === undefined) return null
  const { openSampler: open } = await lazyImport(import('./sampler.js'))
  return open({ ...run, task }, samplePrompts)
}
