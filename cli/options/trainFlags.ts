/** The flags of `train`: those of the settings, which the methods, devices and precisions bring themselves, and those of model, data and run. */
import { Option, type Command } from 'commander'
import { machineSettings, scheduleSettings, trainingSettings } from '../../accelerated/settings/commonSettings.js'
import type { Method } from '../../accelerated/methods/method.js'
import { methods } from '../../accelerated/methods/index.js'
import { architectures } from '../../accelerated/models/index.js'
import { allSettings } from '../../accelerated/training/settings.js'
import type { Setting, SettingKind, SettingTable } from '../../accelerated/settings/setting.js'
import { taskFlags, taskSources } from '../../finetuning/tasks/index.js'
import { flagOf } from './flagNames.js'
import { presets } from './presets.js'

/** A name in camelCase, which is also its key in a --config file. */
export type Flag = { readonly name: string; readonly kind: SettingKind; readonly takes: string; readonly help: string }

const flag = (name: string, kind: SettingKind, takes: string, help: string): Flag => ({ name, kind, takes, help })

const table: ReadonlyArray<Method> = methods

const listed = (names: ReadonlyArray<string>): string =>
  [names.slice(0, -1).join(', '), names.at(-1)].filter((part) => part !== '').join(' or ')

/** The default in words; nothing where the help says it, where there is none, or where it is a switch's. */
const withDefault = (help: string, defaults: ReadonlyArray<readonly [string, unknown]>): string => {
  const [first, ...others] = defaults
  if (first === undefined || first[1] === null || first[1] === false) return help
  const differing = others.filter(([, value]) => value !== first[1])
  return `${help} (default: ${[String(first[1]), ...differing.map(([name, value]) => `${String(value)} of ${name}`)].join(', ')})`
}

const descriptionOf = ({ description, defaultText }: Setting): string =>
  defaultText === null ? description : `${description} (default: ${defaultText})`

const defaultOf = ({ schema }: Setting): unknown => schema.parse(undefined)

export const flagsOf = (settings: SettingTable): ReadonlyArray<Flag> =>
  Object.entries(settings).map(([name, setting]) =>
    flag(name, setting.kind, setting.placeholder, withDefault(descriptionOf(setting), [['', defaultOf(setting)]])),
  )

/** Every setting of every method once, and which methods have it where not all do. */
const methodFlags = (): ReadonlyArray<Flag> => {
  const names = [...new Set(table.flatMap(({ settings }) => Object.keys(settings)))]
  return names.flatMap((name) => {
    const owners = table.filter(({ settings }) => Object.hasOwn(settings, name))
    const [first] = owners.map(({ settings }) => settings[name])
    if (first === undefined) return []
    const { kind, placeholder } = first
    const whose = owners.length === table.length ? '' : `of ${owners.map((owner) => owner.name).join(', ')}: `
    const defaults = owners.map((owner) => [owner.name, defaultOf(owner.settings[name] as Setting)] as const)
    return [flag(name, kind, placeholder, withDefault(`${whose}${descriptionOf(first)}`, defaults))]
  })
}

export const flagGroups: ReadonlyArray<{ readonly heading: string; readonly flags: ReadonlyArray<Flag> }> = [
  {
    heading: 'Model and data:',
    flags: [
      flag(
        'model',
        'text',
        'folder|id',
        `model in Hugging Face layout (${architectures.flatMap(({ modelTypes }) => modelTypes).join(', ')}), or a hub id`,
      ),
      flag('adapter', 'text', 'folder', 'adapter to begin with: of the method, or of any low-rank one at no larger a rank (default: none)'),
      flag('task', 'text', 'name|file', listed(taskSources.map(({ names, help }) => (names.length > 0 ? names.join(', ') : help)))),
      ...taskFlags.map(({ name, takes, help }) => flag(name, takes === '' ? 'switch' : 'text', takes, help)),
      flag('evalData', 'text', 'file', 'file to evaluate on (default: the dev file; of a file, a tenth held out)'),
      flag('positiveLabel', 'text', 'label', 'class that F1 is of; without it (and beside it) there is the mean over all classes, macroF1'),
    ],
  },
  {
    heading: 'Method:',
    flags: [
      flag('method', 'text', 'name', `${listed(table.map(({ name, summary }) => `${name} (${summary})`))} (default: salora)`),
      flag(
        'preset',
        'text',
        'name',
        `${listed(presets.map(({ name, help }) => `${name} (${help})`))}: settings that belong together, with their method; flags win`,
      ),
      ...methodFlags(),
    ],
  },
  { heading: 'Training:', flags: flagsOf(trainingSettings) },
  { heading: 'Machine:', flags: flagsOf(machineSettings) },
  {
    heading: 'Run:',
    flags: [
      flag('output', 'text', 'folder', 'of the run (default: runs/<task>-<method>-<n>)'),
      flag(
        'resume',
        'switch',
        '',
        'go on with the run in --output, with its own settings; more --epochs or --max-steps make a finished one longer',
      ),
      flag(
        'tensorboard',
        'switch',
        '',
        'also write an event file that `tensorboard --logdir` reads, and go on with it where the run is resumed',
      ),
      flag(
        'metricForBestModel',
        'text',
        'metric',
        "by which the best step is chosen: any that is printed, such as macroF1 or loss (default: the task's own)",
      ),
      ...flagsOf(scheduleSettings),
    ],
  },
]

export const trainFlags: ReadonlyArray<Flag> = flagGroups.flatMap(({ flags }) => flags)

/** Adds the flags named (all, if none are) to a command, in their groups. `defaults`: in words, where a command has others than `train`. */
export const addFlags = (command: Command, names?: ReadonlyArray<string>, defaults: Readonly<Record<string, string>> = {}): Command => {
  for (const { heading, flags } of flagGroups) {
    const wanted = flags.filter(({ name }) => names === undefined || names.includes(name))
    if (wanted.length > 0 && names === undefined) command.optionsGroup(heading)
    for (const { name, kind, takes, help } of wanted) {
      command.option(kind === 'switch' ? flagOf(name) : `${flagOf(name)} <${takes}>`, otherDefault(help, defaults[name]))
      if (isOnByDefault(name)) command.addOption(new Option(flagOf(name).replace('--', '--no-')).hideHelp())
    }
  }
  return command
}

/** Switches that are on by default have a twin that turns them off: `--no-load-best-model-at-end`. */
const isOnByDefault = (name: string): boolean => allSettings[name]?.schema.safeParse(undefined).data === true

const otherDefault = (help: string, words: string | undefined): string =>
  words === undefined ? help : help.replace(/( \(default: [^()]*\))?$/, ` (default: ${words})`)
