/** finetune for a program: an error names options as a program writes them, where the command line has flags. */
import { InputError } from '../../accelerated/errors/inputError.js'
import { allSettings } from '../../accelerated/training/settings.js'
import { taskFlags } from '../tasks/taskFlags.js'
import { finetune as finetuneInFlags } from './finetune.js'
import type { FinetuneEvent, FinetuneOptions } from './run.js'

/**
 * Runs a fine-tuning job and yields its events; the last is `result`. Aborting the signal ends the run after the current step, with a checkpoint and
 * an adapter. Before `ready` it ends at once, without a result or any file. Leaving the loop early kills the run.
 * @throws InputError, SettingsError, DeviceError or TrainingError, whose message is one line for the user; any other error is a defect
 */
export async function* finetune(
  options: FinetuneOptions,
  more: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<FinetuneEvent, void> {
  try {
    yield* finetuneInFlags(options, more)
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    throw new InputError(inProgram(error.where), inProgram(error.expected), error.got, error.kind)
  }
}

const switches = [
  ...['resume', 'evalOnStart', 'tensorboard'],
  ...taskFlags.flatMap(({ name, placeholder }) => (placeholder === '' ? [name] : [])),
  ...Object.entries(allSettings).flatMap(([name, { kind }]) => (kind === 'switch' ? [name] : [])),
]

/** `--resume` → `resume: true`, `--prompt-template chat` → `promptTemplate chat` */
const inProgram = (text: string): string =>
  text.replaceAll(/(?<![\w-])--(no-)?([a-z]+(?:-[a-z]+)*)/g, (_, no: string | undefined, flag: string) => {
    const name = flag.replaceAll(/-([a-z])/g, (__, letter: string) => letter.toUpperCase())
    return switches.includes(name) ? `${name}: ${no === undefined}` : name
  })
