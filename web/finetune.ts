/** Fine-tuning in a browser: the loop, settings, methods, tasks, messages and files of Node, with a storage and a device of the caller's. */
import { openModelFolder } from '../accelerated/checkpoints/modelFolder.js'
import type { Device } from '../accelerated/engines/devices/device.js'
import { inputError, quoted, shown } from '../accelerated/errors/inputError.js'
import { methods } from '../accelerated/methods/index.js'
import { checkDevice } from '../accelerated/precisions/precision.js'
import { precisionOf } from '../accelerated/settings/commonSettings.js'
import type { Storage } from '../accelerated/storage/storage.js'
import { eventsInProgram } from '../finetuning/runs/errorsInProgram.js'
import { prepareTask } from '../finetuning/runs/prepareTask.js'
import { checkBase } from '../finetuning/runs/checkBase.js'
import {
  checkFinetuneOptions,
  resolveRunOptions,
  type FinetuneEvent,
  type FinetuneOptions,
  type RunResult,
} from '../finetuning/runs/run.js'
import { bindTask, ownedData } from '../finetuning/runs/runData.js'
import { checkStorable } from '../finetuning/runs/runFiles.js'
import { runJob } from '../finetuning/runs/runJob.js'
import { loadFrom } from '../finetuning/tasks/loadFrom.js'
import { labeledFileSource } from '../finetuning/tasks/sources/labeledFile.js'
import { runFolderIn } from './runFolder.js'

/** Where a run happens. */
export type Place = {
  /** holds the model's folder, the data file and the run's folder */
  readonly storage: Storage
  readonly device: Device
  /** the model's name for other tools, such as its hub id (default: its folder) */
  readonly baseModelName?: string
  /** the version of onnxruntime-web, which config.json records */
  readonly runtimeVersion?: string
}

/** The methods that a run may choose, the default first. */
export const methodNames: ReadonlyArray<string> = methods.map(({ name }) => name)

/** Options of Node that a browser cannot serve: it has no modules of the user's, no event files, no trackers and no other machines. */
const refused = ['metric', 'samplePrompts', 'tensorboard', 'reportTo', 'redis', 'exchange'] as const

/**
 * Runs a fine-tuning job in this thread, best a Web Worker. `model`, the task's file and `output` are paths in the storage. The events are those of
 * Node; the last is `result`. An aborted signal ends the run after the current step, with a checkpoint and an adapter.
 * @throws InputError, SettingsError, DeviceError or TrainingError, whose message is one line for the user
 */
export const finetune = (
  options: FinetuneOptions,
  place: Place,
  { signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<FinetuneEvent, RunResult> => eventsInProgram(trained(options, place, signal), labeledFileSource.flags ?? [])

async function* trained(input: FinetuneOptions, place: Place, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunResult> {
  checkFinetuneOptions(input)
  checkPlace('finetune', place)
  const { storage, device, baseModelName, runtimeVersion } = place
  const stray = refused.find((name) => input[name] !== undefined)
  if (stray !== undefined) throw inputError(stray, 'none in a browser', quoted(String(input[stray])))
  const options = resolveRunOptions(input)
  const began = performance.now()
  checkStorable(options)
  const { task, settings, model } = options
  if (!labeledFileSource.recognizes(task.task)) throw inputError('--task', labeledFileSource.help, quoted(task.task))
  const precision = precisionOf(settings.precision)
  await checkDevice(precision, device)
  yield { kind: 'preparing', what: `reading ${task.task}` }
  const data = yield* ownedData(await loadFrom(labeledFileSource, { ...task, storage }))
  const bound = bindTask(data, settings)
  const prepared = yield* bound((adapter) =>
    prepareTask(
      options,
      data,
      adapter,
      { device, precision },
      {
        openBase: async (outputs) => {
          const base = await openModelFolder(model, { storage, ...(baseModelName === undefined ? {} : { baseModelName }) })
          await checkBase(base, options, data.taskType, outputs, precision)
          return { base, revision: null }
        },
      },
    ),
  )
  const { inputs, rows, facts, plan } = prepared
  const sources = { device: facts.device, revision: facts.revision, rows, inputs, steps: plan.steps }
  const folder = await runFolderIn(storage, options, sources, runtimeVersion)
  return yield* runJob({ options, prepared, folder, began }, signal)
}

/** For callers without types. @param caller the function that they call @throws InputError */
export const checkPlace = (
  caller: string,
  place: Partial<Place> | undefined,
  names: ReadonlyArray<'storage' | 'device'> = ['storage', 'device'],
): void => {
  for (const name of names)
    if (typeof place?.[name] !== 'object') throw inputError(caller, `${name} in its second argument`, shown(place?.[name]))
}
