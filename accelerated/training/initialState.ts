/** The state before the first step: the method's first phase, initial parameters, and moments of 0. */
import { startPhase } from '../methods/startPhase.js'
import type { CheckpointNumbers } from '../parameters/layout.js'
import type { RunState } from '../parameters/runState.js'
import { zeros } from '../parameters/vectors.js'
import { buildLayout, memoryNames, type Assembly } from './assembly.js'
import { zodErrorMap } from '../errors/validate.js'
import type { RunOutline } from '../checkpoints/loadCheckpoint.js'

/** @throws SettingsError where the model does not support the method */
export const initializeRun = async (assembly: Omit<Assembly, 'frozen'>, checkpoint: CheckpointNumbers): Promise<RunState> => {
  const { method, settings, model, precision } = assembly
  const phase = startPhase(method, model.spec, settings)
  const layout = buildLayout(assembly, phase)
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

// What every state of a run must be like, as its method, its model and its start determine it: a checkpoint is validated against this.
/** @param plannedSteps steps of the run by which the phases were planned, where the run was extended since */
export const runOutline = (
  assembly: Pick<Assembly, 'method' | 'settings' | 'objective' | 'precision'>,
  { plannedSteps, ...run }: Pick<RunOutline, 'start' | 'steps' | 'fingerprint'> & { readonly plannedSteps?: number },
): RunOutline => {
  const { method, precision } = assembly
  return {
    ...run,
    method: method.name,
    dtype: precision.dtype,
    parsePhase: (phase, step) => {
      const parsed = method.phases.schema.safeParse(phase, { error: zodErrorMap })
      if (!parsed.success) return { expected: `a phase of ${method.name}`, got: parsed.error.issues[0]?.message ?? 'another' }
      const progress = { step, steps: plannedSteps ?? run.steps }
      return method.phases.validate?.(parsed.data, run.start.phase, progress) ?? { phase: parsed.data }
    },
    describeVectors: (phase) => ({
      size: buildLayout(assembly, phase).size,
      memory: memoryNames(assembly, phase),
    }),
  }
}
