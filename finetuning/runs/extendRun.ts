/** A finished run made longer: from which of its settings that is seen, and what it was before. */
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Settings } from '../../accelerated/training/settings.js'
import type { Extended, RunConfig, RunResult } from './run.js'

type Length = Pick<Settings, 'epochs' | 'maxSteps'>

const lengthOf = ({ epochs, maxSteps }: Length): Length => ({ epochs, maxSteps })

/** The settings with the length that another run had: what else differs between the two is left. */
export const atLengthOf = (settings: Settings, other: Length): Settings => ({ ...settings, ...lengthOf(other) })

const sameLength = (a: Length, b: Length): boolean => a.epochs === b.epochs && a.maxSteps === b.maxSteps

/**
 * The length that the run in a folder had and that `settings` change; null where they do not, or where the run is not finished, whose length is
 * then a setting like the others. Throws Mistake where it would not be longer.
 * @param result of the run, where it is finished
 * @param steps of the whole run by `settings`
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

/** What a user is told of it. */
export const toldOfExtension = ({ steps, after }: Extended, longer: number): string =>
  `the run had ended after step ${after}${after < steps ? ` of ${steps}` : ''} and goes on to step ${longer}: another run than one that had ${longer} steps from its first, since its learning rate rises again and its phases are over`
