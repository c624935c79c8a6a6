/** The flags that name an adapter: --run for a run, --adapter and --model, or --model alone for a model with its own head. */
import { allSettings } from '../../accelerated/training/settings.js'
import { flag, listFlag, textFlag, textOf } from '../../finetuning/commandLine/flag.js'
import { pickFlags } from './settingFlags.js'
import { allTrainFlags, offlineFlags } from './trainFlags.js'

export const adapterFlags = {
  run: textFlag('folder', 'Run folder of salora train'),
  model: flag({
    placeholder: 'folder|id',
    description: 'Model, instead of --run',
    parse: (where, typed) => (typed === undefined ? undefined : textOf(where, String(typed))),
  }),
  adapter: textFlag('folder|id', "Adapter of --model, in PEFT's layout or that of the adapters library; a folder or a hub id"),
}

export const labelFlags = {
  labels: listFlag('names', 'Class names in the order of the outputs, separated by commas, where the model names none'),
}

/** Settings of the machine; those of the run where the flags are absent. @param takesModels whether the command also takes a model without a run */
export const adapterMachineFlags = <const Name extends string>(names: ReadonlyArray<Name>, { takesModels = true } = {}) => ({
  ...pickFlags(allTrainFlags, names, Object.fromEntries(names.map((name) => [name, takesModels ? defaultTextOf(name) : "the run's"]))),
  ...offlineFlags,
})

const defaultTextOf = (name: string): string => `the run's; without a run ${String(allSettings[name]?.schema.parse(undefined))}`
