/** What a refused resume offers instead: a new run that starts from the adapter of the old one. */
import { scheduleSettings, trainingSettings } from '../../accelerated/settings/commonSettings.js'
import { fileInFolder } from '../../accelerated/storage/fileInFolder.js'
import { joinPath } from '../../accelerated/storage/paths.js'
import { inShell } from '../commandLine/shell.js'
import type { RunConfig } from './run.js'

/** Whether the run has written an adapter. A run that trains all weights writes a model. */
export const hasAdapter = async (output: string): Promise<boolean> =>
  (await fileInFolder(joinPath(output, 'adapter'), 'adapter_config.json')) !== undefined

/** What may change without a change of the adapter's tensors: settings, and inputs (runFingerprint.ts). */
const harmless = [
  ...Object.keys({ ...trainingSettings, ...scheduleSettings }),
  'training rows',
  'evaluation rows',
  'test rows',
  'classes',
  'scale of scores',
]

/** The flags of the new run, in parentheses; empty where the adapter would not fit it. @param changes in the words of `differing` */
export const newRunFrom = (output: string, { settings }: Pick<RunConfig, 'settings'>, changes: ReadonlyArray<string>): string => {
  const fits = changes.every((change) => harmless.some((name) => change.startsWith(`${name} was `)))
  if (!fits || settings.warmupGate === 'expected' || settings.method === 'adalora') return '' // AdaLoRA's adapter has fewer triplets than a run begins with
  const [config, adapter] = ['config.json', 'adapter'].map((name) => inShell(joinPath(output, name)))
  return ` (to start a new run from its adapter: --config ${config} --adapter ${adapter} and another --output)`
}
