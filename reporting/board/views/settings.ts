/** The settings of a run, as its config.json has them, in one flat list. */
import type { RunConfig } from '../../../finetuning/runs/run.js'
import { escapeText } from '../../charts/escapeText.js'
import type { RunView } from '../events.js'

export const settingsOf = ({ model, revision, adapter, task, settings, device, versions }: RunConfig): RunView['settings'] =>
  Object.entries({
    model,
    ...(revision == null ? {} : { revision }),
    ...(adapter === undefined ? {} : { adapter }),
    ...task,
    ...settings,
    device,
    ...(versions?.['salora'] === undefined ? {} : { salora: versions['salora'] }),
  }).map(([name, value]) => [escapeText(name), escapeText(typeof value === 'object' ? JSON.stringify(value) : String(value))])
