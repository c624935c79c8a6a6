/** finetune for a program: its errors name options, where the command line has flags. */
import { taskFlags } from '../tasks/taskFlags.js'
import { eventsInProgram } from './errorsInProgram.js'
import { finetune as finetuneInFlags } from './finetune.js'
import type { FinetuneEvent, FinetuneOptions } from './run.js'

/**
 * Runs a fine-tuning job and yields its events; the last is `result`. Aborting the signal ends the run after the current step, with a checkpoint and
 * an adapter. Before `ready` it ends at once, without a result or any file. Leaving the loop early kills the run.
 * @throws InputError, SettingsError, DeviceError or TrainingError, whose message is one line for the user; any other error is a defect
 */
export const finetune = (options: FinetuneOptions, more: { readonly signal?: AbortSignal } = {}): AsyncGenerator<FinetuneEvent, void> =>
  eventsInProgram(finetuneInFlags(options, more), taskFlags)
