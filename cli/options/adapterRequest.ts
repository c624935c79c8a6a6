/** From the flags of an adapter to the options that open it. */
import { join, dirname } from 'node:path'
import { resolveAdapter } from '../../accelerated/checkpoints/hub/hub.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { type Settings, allSettings } from '../../accelerated/training/resolveSettings.js'
import type { TrainedAdapterOptions } from '../../finetuning/use/openModel.js'
import { requiredError, usageError } from '../../finetuning/commandLine/usageError.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'
import { absoluteModel } from '../../finetuning/run/absolutePath.js'
import { hasAdapter, machineIn, trainedIn } from '../../finetuning/use/runSource.js'
import { readRunConfig } from '../../finetuning/run/runFiles.js'
import { layer, resolveLayers } from './precedence.js'
import { type Values, pickFlags } from './settingFlags.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { taskOptions } from './taskRequest.js'
import { readdir, stat } from 'node:fs/promises'
import { flag, listFlag, textFlag, parseText } from '../../finetuning/commandLine/flag.js'
import { allTrainFlags, offlineFlags } from './trainFlags.js'

export type AdapterRequest = {
  readonly adapter: TrainedAdapterOptions
  /** null without a run */
  readonly runSettings: Settings | null
  /** what the run was trained on; null without a run */
  readonly runTask: TaskOptions | null
}

const machineNames: readonly string[] = ['device', 'precision', 'threads', 'maxLength', 'batchSize']

/** @param flags parsed values; flags of other purposes are ignored @throws UsageError, SettingsError or InputError with one line */
export const adapterRequest = async (flags: Values): Promise<AdapterRequest> => {
  const [run, adapter, model] = [asString(flags['run']), asString(flags['adapter']), asString(flags['model'])]
  if (run === null && adapter === null && model === null)
    throw requiredError('--run', 'the folder of a run (or --model, with --adapter or a head of its own)')
  if (run !== null && adapter !== null) throw usageError('--adapter', 'either --run or --adapter', 'both')
  if (run === null && model === null) throw requiredError('--model', 'the model that the adapter belongs to')
  const earlier = run === null ? null : await runConfig(run)
  // a run of another version may have other settings besides
  const settings = resolveLayers([
    layer(run === null ? null : join(run, 'config.json'), ofMachine(earlier?.settings ?? {})),
    layer(null, ofMachine(flags)),
  ])
  const trained = run === null || earlier === null ? null : trainedIn(run, earlier)
  const { labels } = flags as { readonly labels?: unknown }
  return {
    adapter: {
      ...(trained ?? { adapter: adapter === null ? null : await resolveAdapter(adapter) }),
      ...(model === null && trained !== null ? { model: trained.model } : { model: absoluteModel(model ?? ''), revision: undefined }),
      ...machineIn(settings),
      labelNames: Array.isArray(labels) ? labels.map(String) : undefined,
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

const asString = (value: unknown): string | null => (typeof value === 'string' ? value : null)

// The run that a wrong --run probably means: the folder around it, or the newest run in it.
/** ` (did you mean --run runs/reviews?)`, or where the runs of a sweep are; empty if no run is near */
const nearbyRun = async (folder: string): Promise<string> => {
  for (const run of [dirname(folder), ...(await newestFirst(folder))]) if (await isRun(run)) return ` (did you mean --run ${inShell(run)}?)`
  const cells = join(folder, 'cells')
  return (await newestFirst(cells)).length > 0 ? ` (the folder of a sweep: its runs are in ${inShell(cells)})` : ''
}

/** A model has a config.json too, which is no run's. */
const isRun = async (folder: string): Promise<boolean> => (await readRunConfig(folder).catch(() => null)) !== null

/** At most this many folders are read. */
const mostFolders = 100

const newestFirst = async (folder: string): Promise<readonly string[]> => {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const inside = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name))
  const dated = await Promise.all(
    inside
      .slice(0, mostFolders)
      .map(async (run) => ({ run, time: (await stat(join(run, 'config.json')).catch(() => null))?.mtimeMs ?? 0 })),
  )
  return dated.sort((a, b) => b.time - a.time).map(({ run }) => run)
}

/** The flags that name an adapter: --run for a run, --adapter and --model, or --model alone for a model with its own head. */
export const adapterFlags = {
  run: textFlag('folder', 'Run folder of salora train'),
  model: flag({
    placeholder: 'folder|id',
    description: 'Model, instead of --run',
    parse: (where, typed) => (typed === undefined ? undefined : parseText(where, String(typed))),
  }),
  adapter: textFlag('folder|id', "Adapter of --model, in PEFT's layout or that of the adapters library; a folder or a hub id"),
}

export const labelFlags = {
  labels: listFlag(
    'names',
    'Class names in the order of the outputs, separated by commas, where the model names none; a sentence encoder without a head classifies by them alone',
  ),
}

/** Settings of the machine; those of the run where the flags are absent. @param takesModels whether the command also takes a model without a run */
export const adapterMachineFlags = <const Name extends string>(names: readonly Name[], { takesModels = true } = {}) => ({
  ...pickFlags(allTrainFlags, names, Object.fromEntries(names.map((name) => [name, takesModels ? describeDefault(name) : "the run's"]))),
  ...offlineFlags,
})

const describeDefault = (name: string): string => `the run's; without a run ${String(allSettings[name]?.schema.parse(undefined))}`
