/** Fine-tuning in a browser: the loop, settings, methods, tasks, messages and files of Node, with a storage and a device of the caller's. */
import { openModelFolder } from '../accelerated/checkpoints/modelFolder.js'
import type { Device } from '../accelerated/engines/devices/device.js'
import { inputError, quoted, formatValue } from '../accelerated/errors/inputError.js'
import { option } from '../accelerated/errors/words.js'
import { methods } from '../accelerated/methods/index.js'
import { type Storage, withFile } from '../accelerated/storage/storage.js'
import { runRecipe, type Machine } from '../finetuning/recipe.js'
import {
  checkFinetuneOptions,
  resolveRunOptions,
  type FinetuneEvent,
  type FinetuneOptions,
  type RunResult,
  type RunOptions,
} from '../finetuning/run/run.js'
import { checkStorable, readRunConfig } from '../finetuning/run/runFiles.js'
import { loadFromSource } from '../finetuning/tasks/loadFromSource.js'
import { labeledFileSource } from '../finetuning/tasks/files/labeledFile.js'
import { joinPath } from '../accelerated/storage/paths.js'
import type { MetricsLog } from '../finetuning/run/metricsLog.js'
import { finishedResult, planFolder, type FolderContent, type RunFolder, type RunSources } from '../finetuning/run/runFolder.js'
import { writeRunRows } from '../finetuning/run/runRows.js'
import { watchTexts, type Watch } from './watch.js'

/** Where a run happens. */
export type Place = {
  /** holds the model's folder, the data file and the run's folder */
  readonly storage: Storage
  readonly device: Device
  /** the model's name for other tools, such as its hub id (default: its folder) */
  readonly baseModelName?: string
  /** the version of onnxruntime-web, which config.json records */
  readonly runtimeVersion?: string
  /** texts to predict after each evaluation (default: none) */
  readonly watch?: Watch
}

/** The methods that a run may choose, the default first. */
export const methodNames: readonly string[] = methods.map(({ name }) => name)

/** Options of Node that a browser cannot serve: it has no modules of the user's, no event files, no trackers and no other machines. */
const refused = ['metric', 'samplePrompts', 'tensorboard', 'reportTo', 'redis', 'exchange'] as const

/**
 * Runs a fine-tuning job in this thread, best a Web Worker. `model`, the task's file and `output` are paths in the storage. The events are those of
 * Node; the last is `result`. An aborted signal ends the run after the current step, with a checkpoint and an adapter.
 * @throws InputError, SettingsError, DeviceError or TrainingError, whose message is one line for the user
 */
export async function* finetune(
  options: FinetuneOptions,
  place: Place,
  { signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<FinetuneEvent, RunResult> {
  checkFinetuneOptions(options)
  checkPlace('finetune', place)
  return yield* runRecipe(options, browserMachine(place), signal)
}

/** A place as the recipe asks for it. */
const browserMachine = ({ storage, device, baseModelName, runtimeVersion, watch }: Place): Machine => ({
  readRequest: async function* (input) {
    const stray = refused.find((name) => input[name] !== undefined)
    if (stray !== undefined) throw inputError(stray, 'none in a browser', quoted(String(input[stray])))
    const options = resolveRunOptions(input)
    checkStorable(options)
    const { task } = options.task
    if (!labeledFileSource.recognizes(task)) throw inputError(option('task'), labeledFileSource.help, quoted(task))
    return { options, metric: null, content: await examineFolderIn(storage, options) }
  },
  chooseDevice: async () => device,
  loadTask: (task) => loadFromSource(labeledFileSource, { ...task, storage }),
  openModel: async ({ model }) => ({
    model: await openModelFolder(model, { storage, ...(baseModelName === undefined ? {} : { baseModelName }) }),
    revision: null,
  }),
  openSampler: async (_, run) => (watch === undefined ? null : watchTexts(run, watch)),
  openFolder: ({ options, content }, sources) => openFolderIn(storage, options, sources, content, runtimeVersion),
})

/** For callers without types. @param caller the function that they call @throws InputError */
export const checkPlace = (
  caller: string,
  place: Partial<Place> | undefined,
  names: readonly ('storage' | 'device')[] = ['storage', 'device'],
): void => {
  for (const name of names)
    if (typeof place?.[name] !== 'object') throw inputError(caller, `${name} in its second argument`, formatValue(place?.[name]))
}

// A run's folder in a storage: the public layout of Node's, without a lock and without event files.
/** The folder before the data is read. */
const examineFolderIn = async (storage: Storage, { output, resume }: RunOptions): Promise<FolderContent> => {
  const earlier = await readRunConfig(output, storage)
  const finished = earlier !== null && resume ? await finishedResult(output, storage) : null
  return { earlier, finished, hasAdapter: false }
}

/**
 * Opens or creates the folder; nothing in it changes before `begin`. The caller keeps other tabs away.
 * @throws InputError if it has another run, or one with other settings, model or data
 */
const openFolderIn = async (
  storage: Storage,
  options: RunOptions,
  sources: RunSources,
  content: FolderContent,
  runtimeVersion = '',
): Promise<RunFolder> => {
  const { output } = options
  const plan = planFolder(options, sources, content, { salora: version, 'onnxruntime-web': runtimeVersion })
  const [adapter, checkpoints, result] = [joinPath(output, 'adapter'), joinPath(output, 'checkpoints'), joinPath(output, 'result.json')]
  for (const folder of [output, adapter, checkpoints]) await storage.makeFolder(folder, { recursive: true })
  return {
    ...plan,
    ...{ adapter, checkpoints },
    begin: async (lines) => {
      await storage.remove(result)
      await storage.write(joinPath(output, 'config.json'), plan.config)
      await writeRunRows(output, sources.rows, storage)
      return metricsLogIn(storage, joinPath(output, 'metrics.jsonl'), lines)
    },
    check: async () => undefined,
    writeResult: (value) => storage.write(result, `${JSON.stringify(value, null, 2)}\n`),
    release: async () => undefined,
  }
}

/** metrics.jsonl with its first `kept` lines. A storage cannot append, so each `flush` writes the file anew: 3 MB after ten thousand steps. */
const metricsLogIn = async (storage: Storage, file: string, kept: number): Promise<MetricsLog> => {
  const lines = kept === 0 ? [] : (await readTextFile(storage, file)).split('\n').slice(0, -1).slice(0, kept)
  const missing = kept - lines.length
  return {
    append: (event) => void lines.push(JSON.stringify(event)),
    flush: () => storage.write(file, lines.map((line) => `${line}\n`).join('')),
    lines: () => lines.length,
    missing,
  }
}

const readTextFile = async (storage: Storage, file: string): Promise<string> =>
  (await storage.stat(file)) === null
    ? ''
    : withFile(storage, file, async ({ size, read }) => new TextDecoder().decode(await read(0, size)))

export const version = '0.2.0'
