/** Whether replicas can train apart with these settings: several of them, a method of one phase, and evaluations and checkpoints at the ends of rounds. */
import { alternatives } from '../errors/nearest.js'
import { SettingsError } from '../errors/expectedErrors.js'
import type { Method } from '../methods/method.js'
import { synchronizes, type CommonSettings } from '../settings/commonSettings.js'

/** Whether the method's state is its parameters and AdamW's moments from the first step to the last: means of them are a state too. */
const hasOnePhase = ({ phases, train }: Method): boolean => phases.advance === undefined && train.optimizerExtension === undefined

/** @param methods those that a message can name @throws SettingsError for the first setting that does not fit */
export const checkReplicas = (method: Method, settings: CommonSettings, methods: ReadonlyArray<Method>): void => {
  if (!synchronizes(settings)) return
  const { syncEvery, gradientAccumulationSteps } = settings
  if (!hasOnePhase(method)) {
    const names = methods.filter(hasOnePhase).map(({ name }) => name)
    throw new SettingsError(
      'method',
      `${alternatives(names, Infinity)} with --sync-every, since replicas need the same ranks throughout`,
      method.name,
    )
  }
  if (gradientAccumulationSteps < 2)
    throw new SettingsError('gradientAccumulationSteps', 'at least 2 with --sync-every: the number of replicas', '1')
  for (const name of ['evalSteps', 'saveSteps'] as const) {
    const value = settings[name]
    if (value !== null && value % syncEvery !== 0)
      throw new SettingsError(name, `a multiple of --sync-every ${syncEvery}, since a round must be complete`, String(value))
  }
}
