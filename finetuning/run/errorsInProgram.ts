/** Errors for a program: they name options as a program writes them, where the command line has flags. */
import { InputError } from '../../accelerated/errors/inputError.js'
import { SettingsError } from '../../accelerated/errors/expectedErrors.js'
import { allSettings } from '../../accelerated/training/settings.js'
import type { TaskFlag } from '../tasks/task.js'

/** The events, and errors that name options. @param flags those of the tasks that the program may train on */
export async function* eventsInProgram<E, R>(events: AsyncGenerator<E, R>, flags: readonly TaskFlag[]): AsyncGenerator<E, R> {
  try {
    return yield* events
  } catch (error) {
    throw errorInProgram(error, flags)
  }
}

/** The result, and errors that name options. @param flags as for `eventsInProgram` */
export const resultInProgram = <R>(result: Promise<R>, flags: readonly TaskFlag[]): Promise<R> =>
  result.catch((error: unknown) => {
    throw errorInProgram(error, flags)
  })

/** The error to throw, with options in place of flags. One that is neither of the input nor of a setting names none, and stays as it is. */
const errorInProgram = (error: unknown, flags: readonly TaskFlag[]): unknown => {
  const inProgram = optionsFor([...switches, ...flags.flatMap(({ name, placeholder }) => (placeholder === '' ? [name] : []))])
  if (error instanceof InputError) return new InputError(inProgram(error.where), inProgram(error.expected), error.got, error.kind)
  if (!(error instanceof SettingsError)) return error
  const { setting, expected, got, remedy } = error
  return new SettingsError(setting, inProgram(expected), got, remedy === null ? null : inProgram(remedy))
}

const switches = [
  ...['resume', 'evalOnStart', 'tensorboard'],
  ...Object.entries(allSettings).flatMap(([name, { kind }]) => (kind === 'switch' ? [name] : [])),
]

/** `--resume` → `resume: true`, `--prompt-template chat` → `promptTemplate chat` */
const optionsFor =
  (switched: readonly string[]) =>
  (text: string): string =>
    text.replaceAll(/(?<![\w-])--(no-)?([a-z]+(?:-[a-z]+)*)/g, (_, no: string | undefined, flag: string) => {
      const name = flag.replaceAll(/-([a-z])/g, (__, letter: string) => letter.toUpperCase())
      return switched.includes(name) ? `${name}: ${no === undefined}` : name
    })
