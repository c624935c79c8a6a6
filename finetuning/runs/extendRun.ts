/** Extending a finished run: a run folder whose settings ask for more steps than it was trained for. */
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Settings } from '../../accelerated/training/settings.js'
import type { Extended, RunConfig, RunResult } from './run.js'

type Length = Pick<Settings, 'epochs' | 'maxSteps'>

const lengthOf = ({ epochs, maxSteps }: Length): Length => ({ epochs, maxSteps })

/** The settings with the length of another run, so that only other differences remain. */
export const atLengthOf = (settings: Settings, other: Length): Settings => ({ ...settings, ...lengthOf(other) })

const sameLength = (a: Length, b: Length): boolean => a.epochs === b.epochs && a.maxSteps === b.maxSteps

/**
 * The length that the run had and that `settings` change. null: they do not change it, or the run is not finished; its length is then a setting
 * like any other.
 * @param result of the finished run, or null @param steps of the whole run by `settings` @throws InputError if the run would not be longer
 */
export const extensionOf = (
  earlier: Pick<RunConfig, 'settings'>,
  result: Pick<RunResult, 'steps' | 'stepsDone'> | null,
  settings: Settings,
  steps: number,
): Extended | null => {
  if (sameLength(earlier.settings, settings) || result === null) return null
  if (steps <= result.stepsDone)
    throw inputError(
      settings.maxSteps === null ? '--epochs' : '--max-steps',
      `more than the ${result.stepsDone} steps that the finished run took`,
      `${steps} steps`,
    )
  return { ...lengthOf(earlier.settings), steps: result.steps, after: result.stepsDone }
}

export const extensionWarning = ({ steps, after }: Extended, longer: number): string =>
  `the run had ended after step ${after}${after < steps ? ` of ${steps}` : ''} and continues to step ${longer}. It differs from a run of ${longer} steps: its learning rate rises again, and its phases are over`
