/** Presets: settings that belong together, from a method or a kind of task, by the name that --preset takes. */
import { quoted } from '../../accelerated/errors/inputError.js'
import type { Method } from '../../accelerated/methods/method.js'
import { methods } from '../../accelerated/methods/index.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { taskSources } from '../../finetuning/tasks/index.js'
import type { Values } from './settingFlags.js'

type Preset = {
  readonly name: string
  readonly method: string
  /** a few words for --help */
  readonly help: string
  readonly settings: (task: string) => Values
}

const table: readonly Method[] = methods

export const presets: readonly Preset[] = [
  ...table.flatMap(({ name: method, presets: own = {} }) =>
    Object.entries(own).map(([name, settings]) => ({ name, method, help: `for ${method}`, settings: () => settings })),
  ),
  ...taskSources.flatMap(({ presets: own = {} }) => Object.entries(own).map(([name, preset]) => ({ name, ...preset }))),
]

/**
 * The settings of a preset, its method among them; none where no preset is named.
 * @param method the one that the preset must belong to; null: any
 * @throws UsageError if there is no such preset
 */
export const presetValues = (name: unknown, method: string | null, task: string): Values => {
  if (name === undefined) return {}
  const candidates = presets.filter((preset) => method === null || preset.method === method)
  const preset = candidates.find((candidate) => candidate.name === name)
  if (preset === undefined)
    throw usageError(
      '--preset',
      candidates.length > 0
        ? `one of ${candidates.map((candidate) => candidate.name).join(', ')}`
        : `none, as method ${method} has no presets`,
      quoted(String(name)),
    )
  return { ...preset.settings(task), method: preset.method }
}
