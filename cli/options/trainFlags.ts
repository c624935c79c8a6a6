/** The flags of `train`: the settings of methods, training and machine, and those of model, data and run. */
import { alternatives } from '../../accelerated/errors/nearest.js'
import type { Method } from '../../accelerated/methods/method.js'
import { methods } from '../../accelerated/methods/index.js'
import { machineSettings, scheduleSettings, trainingSettings } from '../../accelerated/settings/commonSettings.js'
import type { Setting, SettingKind } from '../../accelerated/settings/setting.js'
import { method as defaultMethod } from '../../accelerated/settings/defaults.js'
import { allSettings } from '../../accelerated/training/resolveSettings.js'
import { advanced, flag, switchFlag, parseText, type Flag, type FlagGroups, type FlagTable } from '../../finetuning/commandLine/flag.js'
import { fileEndings } from '../../finetuning/data/formats.js'
import { taskFlags, taskNames } from '../../finetuning/tasks/index.js'
import { presets } from './presets.js'
import { settingFlag, settingFlags } from './settingFlags.js'

/** A text; undefined where the flag is absent, so that a --config file can give it. */
const text = (placeholder: string, description: string, defaultText: string | null = null): Flag<unknown> =>
  flag({ placeholder, description, defaultText, parse: (where, typed) => (typed === undefined ? typed : parseText(where, String(typed))) })

const toggle = (description: string): Flag<unknown> => ({ ...switchFlag(description), parse: (_, typed) => typed })

const taskOptionFlags: FlagTable = Object.fromEntries(
  taskFlags.map(({ name, placeholder, description, defaultText = null, common = false }) => {
    const full = name === 'data' ? `Folder or file of the data; ${description}` : description
    return [name, { ...(placeholder === '' ? toggle(full) : text(placeholder, full, defaultText)), common }]
  }),
)

const methodTable: readonly Method[] = methods

/** The settings of all methods under their headings, each once. */
const listMethodFlags = (): FlagGroups => {
  const settings: readonly (readonly [string, Setting])[] = Object.entries(
    Object.assign({}, ...methodTable.map((method) => method.settings)) as Readonly<Record<string, Setting>>,
  )
  const headings = [...new Set(settings.map(([, { group }]) => group))]
  return Object.fromEntries(
    headings.map((heading) => [
      heading,
      Object.fromEntries(settings.filter(([, { group }]) => group === heading).map(([name, setting]) => [name, settingFlag(setting)])),
    ]),
  )
}

export const offlineFlags = {
  offline: advanced(switchFlag('Use only cached models and datasets of the hub (as HF_HUB_OFFLINE=1)')),
}

export const trainFlags = {
  'Model and data': {
    model: text('folder|id', 'Folder in Hugging Face layout, hub id, .gguf file, or "embedded"'),
    task: text('name|file', `Task: ${taskNames.join(', ')}, or a data file (${fileEndings.join(', ')})`),
    ...taskOptionFlags,
    evalData: text('file', 'File to evaluate on', 'the dev file, or a held-out tenth'),
    testData: text('file', 'File to score once, after training, for the model card'),
    positiveLabel: advanced(text('label', 'Class that F1 is computed for')),
  },
  Training: {
    method: text('name', `Method: ${methodTable.map(({ name, summary }) => `${name} (${summary})`).join(', ')}`, defaultMethod.value),
    ...settingFlags(trainingSettings),
    preset: advanced(
      text(
        'name',
        `Preset of method and settings: ${alternatives(
          presets.map(({ name, help }) => `${name} (${help})`),
          Infinity,
        )}`,
      ),
    ),
    adapter: advanced(text('folder', 'Adapter to start from; its method, targets, ranks and scale are the defaults')),
  },
  Run: {
    output: text('folder', 'Run folder', 'runs/<task>-<method>-<n>'),
    resume: toggle('Resume the run in --output by its method and settings; a larger --epochs or --max-steps extends a finished run'),
    config: text('file', "JSON file of settings in camelCase, or a run's config.json; flags override it"),
    ...settingFlags(scheduleSettings),
    metricForBestModel: advanced(text('metric', 'Metric that selects the best checkpoint, such as macroF1 or loss', "the task's own")),
    metric: advanced(text('file', 'JavaScript module of your own metric: exports name, higherIsBetter and score(predictions, labels)')),
    samplePrompts: advanced(
      text(
        'file',
        'Prompts to answer after each evaluation: one per line, or JSON lines as in generate --input; for tasks that write text',
      ),
    ),
    tensorboard: advanced(toggle('Also log to a TensorBoard event file in the run folder')),
    reportTo: advanced(text('names', 'Also report to mlflow, the server of MLFLOW_TRACKING_URI, or to tensorboard; several with commas')),
  },
  Machine: {
    ...settingFlags(machineSettings),
    redis: advanced(
      text(
        'url',
        'Share the micro-batches of each step with salora worker processes; results are bit-identical. @FILE or env (SALORA_REDIS) hides a password',
      ),
    ),
    exchange: advanced(text('type', 'With --redis, how gradients travel: float32, or float16 for half the bytes', 'float32')),
    ...offlineFlags,
  },
  ...listMethodFlags(),
} as const satisfies FlagGroups

/** Every flag of `train` by name. */
export const allTrainFlags: FlagTable = Object.assign({}, ...Object.values(trainFlags as FlagGroups))

/** Flags that a --config file cannot hold. */
const typedOnly: readonly string[] = ['config', 'offline']

/** What a --config file may hold, and how each value is read. */
export const configKinds: Readonly<Record<string, SettingKind>> = Object.fromEntries(
  Object.entries(allTrainFlags)
    .filter(([name]) => !typedOnly.includes(name))
    .map(([name, { arity }]) => [name, allSettings[name]?.kind ?? (arity === 'none' ? 'switch' : 'text')]),
)
