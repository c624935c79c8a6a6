/** The report of a step: losses, speed, and the method's own measures. */
import type { RunProgress, RunState } from '../parameters/runState.js'
import { tensorOf } from '../parameters/vectors.js'
import type { Assembly } from './assembly.js'
import type { StepReport } from './events.js'
import type { PhaseSessions } from './phaseSessions.js'
import type { StepOutcome } from './trainStep.js'

/** The report of a step, and its measures by matrix. @param before the state before the step @param seconds what the step took */
export const reportOf = (
  { method }: Pick<Assembly, 'method'>,
  { layout }: Pick<PhaseSessions, 'layout'>,
  before: RunState,
  { results, tokens, loss, taskLoss }: Omit<StepOutcome, 'state'>,
  { learningRate, stepsPerEpoch, seconds }: { readonly learningRate: number; readonly stepsPerEpoch: number; readonly seconds: number },
): { readonly report: StepReport; readonly byMatrix: RunProgress['byMatrix'] } => {
  const numbers = (name: string): readonly number[] | undefined =>
    results[name] === undefined ? undefined : Array.from(results[name], Number)
  const measures = method.reporting?.measures?.(before.phase, numbers, (name) => tensorOf(layout, before.parameters, name))
  const report: StepReport = {
    kind: 'step',
    step: before.step + 1,
    epoch: (before.step + 1) / stepsPerEpoch,
    loss,
    taskLoss,
    columns: measures?.columns ?? {},
    learningRate,
    gradientNorm: numbers('gradientNorm')?.[0] ?? NaN,
    tokens,
    tokensPerSecond: tokens / seconds,
  }
  return { report, byMatrix: measures?.byMatrix ?? {} }
}

/** Expected ranks while the method searches for them; null before and after, and for a method that searches for none. */
export const expectedRanksOf = (
  { method, settings }: Pick<Assembly, 'method' | 'settings'>,
  { layout }: Pick<PhaseSessions, 'layout'>,
  { phase, parameters }: RunState,
): Readonly<Record<string, number>> | null =>
  method.reporting?.expectedRanks?.(phase, settings, (name) => tensorOf(layout, parameters, name)) ?? null
