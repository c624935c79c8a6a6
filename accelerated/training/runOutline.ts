/** What every state of a run must be like, as its method, its model and its start determine it: a checkpoint is validated against this. */
import { zodErrorMap } from '../errors/validate.js'
import type { RunOutline } from '../checkpoints/loadCheckpoint.js'
import { layoutOf, type Assembly } from './assembly.js'
import { memoryNames } from './replicas.js'

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
    vectorsOf: (phase) => ({
      size: layoutOf(assembly, phase).size,
      memory: memoryNames(assembly, phase),
    }),
  }
}
