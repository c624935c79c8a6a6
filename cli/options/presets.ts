/** Presets: settings that belong together, which a method or a kind of tasks brings, by the name that --preset takes. */
import type { Method } from '../../accelerated/methods/method.js'
import { methods } from '../../accelerated/methods/index.js'
import { taskSources } from '../../finetuning/tasks/index.js'
import type { Values } from './flagValues.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

type Preset = {
  readonly name: string
  readonly method: string
  /** in words */
  readonly help: string
  readonly settings: (task: string) => Values
}

const table: ReadonlyArray<Method> = methods

export const presets: ReadonlyArray<Preset> = [
  ...table.flatMap(({ name: method, presets: own = {} }) =>
    Object.entries(own).map(([name, settings]) => ({ name, method, help: `of ${method}`, settings: () => settings })),
  ),
  ...taskSources.flatMap(({ presets: own = {} }) => Object.entries(own).map(([name, preset]) => ({ name, ...preset }))),
]

/**
 * The settings that a preset stands for, its method among them. `method`: the one asked for, to which the preset must belong; null where none is.
 * @throws UsageError for a name that is none of those
 */
export const presetOf = (name: unknown, method: string | null, task: string): Values => {
  if (name === undefined) return {}
  const known = presets.filter((preset) => method === null || preset.method === method)
  const found = known.find((preset) => preset.name === name)
  if (found === undefined)
    throw usageError(
      '--preset',
      known.length > 0 ? `one of ${known.map((preset) => preset.name).join(', ')}` : `none, as method ${method} has no presets`,
      JSON.stringify(name),
    )
  return { ...found.settings(task), method: found.method }
}
