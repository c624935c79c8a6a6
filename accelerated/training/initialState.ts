/** The state before the first step: the method's first phase, initial parameters, and moments of 0. */
import { startPhase } from '../methods/startPhase.js'
import type { CheckpointNumbers } from '../parameters/layout.js'
import type { RunState } from '../parameters/runState.js'
import { zeros } from '../parameters/vectors.js'
import { layoutOf, type Assembly } from './assembly.js'
import { memoryNames } from './replicas.js'

/** @throws SettingsError where the model does not support the method */
export const startOfRun = async (assembly: Omit<Assembly, 'frozen'>, checkpoint: CheckpointNumbers): Promise<RunState> => {
  const { method, settings, model, precision } = assembly
  const phase = startPhase(method, model.spec, settings)
  const layout = layoutOf(assembly, phase)
  const vector = () => zeros(layout.size, precision.dtype)
  const parameters = vector()
  for (const entry of layout.entries) {
    const { fromCheckpoint, draw } = entry.initial
    const stored = fromCheckpoint === false ? undefined : await fromCheckpoint(entry, checkpoint)
    parameters.set(stored ?? draw(settings.seed, entry), entry.offset)
  }
  return {
    step: 0,
    phase,
    parameters,
    firstMoment: vector(),
    secondMoment: vector(),
    memory: Object.fromEntries(memoryNames(assembly, phase).map((name) => [name, vector()])),
  }
}
