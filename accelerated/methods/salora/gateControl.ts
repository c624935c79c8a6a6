/**
 * The controller that drives the density to its target in the gate window: three scalars a step, pure functions of the window and the budget.
 *
 * `descent` is Algorithm 1 to the letter: b and η_c are constant, Θ and λ take plain steps. log θ hardly moves in a few hundred steps: λ rises by
 * η_c (C − b)² and stays far below the task's gradient. The density stays at 0.917. `adam` has the same constants with Adam's steps, which is the
 * reading of §4.1 that gives Table 3's densities. log θ moves by about η_c a step, so b = 0.5 takes 240 gated steps at least.
 * With the embedded model on `sentiment`, C was 0.889, 0.695 and 0.507 after 90, 300 and 1,380 of them. `ramp` reaches b sooner:
 *  - The target falls along a straight line in log-odds over the first 90 % of the window, and is b after that. FLOP and CoFiPruning also warm up
 *    their target. The violation stays small, so Adam still sees the task's gradient beside the constraint's. The later the target arrives, the
 *    longer triplets compete: at 60 % the kept half was right less often, and |C − b| was no smaller.
 *  - η_Θ is η_c, or the rate that covers the distance in time if η_c does not. It falls linearly to 0 over the last 10 %, which ends oscillation.
 *  - λ's step grows geometrically from G · 10⁻⁴ to G · 10⁵ (G gates). At rest |C − b| = |task force| / (2λ wⱼ P(1 − P)) with wⱼ ~ 1/G. The task's
 *    force is unknown over decades, and the growth passes all of them at the same relative speed. Once λ holds the constraint, (C − b)² is tiny against
 *    Adam's second moment, and λ almost stops. In effect this is a quadratic penalty on a prescribed path. What acts is 2λ(C − b); λ's own size
 *    (4·10³ to 4·10⁸ in the published runs) says little.
 * Above about 1,000 gated steps η_Θ is the paper's 0.01. Adam's memory of log θ is short (β₁ = 0.5, β₂ = 0.99): in a closed loop, memory is delay.
 */
import type { AdamWSettings } from '../../parameters/optimizerGroup.js'

/** First step with sampled gates, and first step after the window. */
type GateSchedule = { readonly start: number; readonly end: number }

/** In float64, 0.07 · 100 is 7.000000000000001 and must count as 7. No product that a user means is this close above a whole number. */
const rounding = 1e-9

/** Steps of a run that are enough for `count` steps between the two fractions, whatever the rounding. */
export const stepsForWindow = ({ gateStart, gateEnd }: Fractions, count: number): number =>
  Math.ceil(count / (gateEnd - gateStart) - rounding)

type Fractions = { readonly gateStart: number; readonly gateEnd: number }

export const gateSchedule = ({ gateStart, gateEnd }: Fractions, steps: number): GateSchedule => {
  const first = (fraction: number): number => Math.max(0, Math.ceil(fraction * steps - rounding))
  return { start: first(gateStart), end: first(gateEnd) }
}

export const gateAdam: AdamWSettings = { beta1: 0.5, beta2: 0.99, epsilon: 1e-8 }

type GateControl = { readonly targetDensity: number; readonly controlLearningRate: number; readonly multiplierLearningRate: number }

/** ramp: a falling target · adam: the paper's constants, by Adam · descent: by plain steps · a number: equation (10) with this constant λ */
export type ControlRule = 'ramp' | 'adam' | 'descent' | number

/**
 * Gated steps of `adam`. fewest: the distance in log-odds at η_c a step, which nothing outruns. usual: so many times as in the shortest of the paper's runs in
 * Table 3 (MRPC, 1,380 gated steps for 240), since the task's gradient and its noise hold against the constraint.
 */
export const adamSteps = ({
  initialDensity,
  targetDensity,
  controlLearningRate,
}: Omit<ControlledWindow, 'control' | 'steps' | 'gates'>): { readonly fewest: number; readonly usual: number } => {
  const fewest = Math.ceil(Math.abs(logit(initialDensity) - logit(Math.min(targetDensity, largestTarget))) / controlLearningRate)
  return { fewest, usual: Math.ceil((fewest * 1380) / 240) }
}

/**
 * From this many gated steps on, |C − b| ≤ 0.02 at T_end held on every task that was measured. The embedded model on `sentiment`, 200 steps:
 * 10 gated steps miss b by 0.178 (b = 0.5) and 0.186 (b = 0.125), 20 by 0.041 and 0.005, and 30 to 50 by less than 0.009.
 */
export const enoughSteps = 40

export type ControlledWindow = {
  readonly control: ControlRule
  /** N: gated steps */
  readonly steps: number
  /** G: gates of all matrices */
  readonly gates: number
  /** C(Θ) at the first of them */
  readonly initialDensity: number
  /** b */
  readonly targetDensity: number
  /** η_c */
  readonly controlLearningRate: number
}

const descent = 0.9 // fraction of the window in which the target falls
const reach = 3 // times the distance: Adam's steps do not all point one way
const [firstStrength, growth] = [1e-4, 1e9] // λ's step for each gate: from 10⁻⁴ to 10⁵

const logit = (p: number): number => Math.log(p / (1 - p))
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** A budget of 1 has no finite log-odds. This close to 1, it closes no gate. */
const largestTarget = 0.999

/** The scalars of gated step t = 1 … N. */
export const gateControl =
  ({ control, steps, gates, initialDensity, targetDensity, controlLearningRate }: ControlledWindow) =>
  (t: number): GateControl => {
    if (typeof control === 'number') return { targetDensity, controlLearningRate, multiplierLearningRate: 0 }
    if (control !== 'ramp') return { targetDensity, controlLearningRate, multiplierLearningRate: controlLearningRate }
    const [from, to] = [logit(initialDensity), logit(Math.min(targetDensity, largestTarget))]
    const progress = Math.min(1, t / (descent * steps))
    const peak = Math.max(controlLearningRate, (reach * (1 + Math.abs(from - to))) / steps)
    return {
      targetDensity: progress === 1 ? targetDensity : sigmoid((1 - progress) * from + progress * to),
      controlLearningRate: peak * Math.min(1, (1 - (t - 1) / steps) / (1 - descent)),
      multiplierLearningRate: (gates * firstStrength * growth ** progress * Math.log(growth)) / (descent * steps),
    }
  }
