/**
 * The controller that drives the density to its target within the gate window: three scalars for each gated step.
 *
 * `descent` is Algorithm 1 to the letter: b and η_c are constants. Its plain steps of 0.01 do not move the density, which was 0.917 after
 * 1,380 of them. `adam` has the same constants, and Adam's steps: §4.1 names AdamW, and the densities are those of Table 3. An Adam step moves
 * log θ by about η_c, so that b = 0.5 takes 240 gated steps. On resampled gradients |C − b| was 0.40, 0.16 and 0.003 after N = 100, 300 and 3,000.
 *
 * `ramp`, the default, is ours and reaches b (|C − b| was 0.000 at each of these N). Of the half that it keeps, 79, 87 and 95 % belong there, on
 * resampled gradients of a real run. A ranking by accumulated gradients, the ceiling, has 80, 88 and 96 %. An augmented Lagrangian, a PI
 * controller and dual restarts had 81, 84 and 93 % and missed b by up to 0.05. Their gains depend on a force that no user knows.
 *  - The target descends, so that the violation stays small and Adam sees the task's gradient of Θ beside the constraint's. The descent
 *    takes most of the window, since gates compete only while it lasts. Over 0.6 of the window instead of 0.9, 84 % belonged there at N = 300.
 *  - Θ's step is η_c, or the step that covers the distance in N steps if η_c does not. It ends at 0, which ends oscillation.
 *  - λ's step passes through nine decades at the same pace, since the size of the task's force may be in any of them.
 * The price: in form this is equation (12), in effect a quadratic penalty on a prescribed path. λ ended at 4·10³ to 4·10⁸ in the published runs and
 * says nothing about the task; what acts is 2λ(C − b), about 0.06. The selection is made early: after a third of the window, log θ ranks the gates almost as at its end.
 */
import { sigmoid } from './hardConcrete.js'

/**
 * ramp: ours · adam: constants, Adam's descent of Θ and ascent of λ · descent: constants, plain descent and plain ascent · constant: λ stays, and its
 * term is equation (10)'s. Without Lagrangian relaxation, Table 3's second row, λ is a constant or 0.
 */
export type ControlRule = 'ramp' | 'adam' | 'descent' | 'constant'

export interface GateWindow {
  readonly control: ControlRule
  /** N, the gated steps. */
  readonly steps: number
  /** G, the gates of all matrices. */
  readonly gates: number
  /** C₀, the density before the first gated step. */
  readonly initialDensity: number
  /** b */
  readonly targetDensity: number
  /** η_c */
  readonly controlLearningRate: number
}

export interface GateControl {
  /** b in this step. */
  readonly targetDensity: number
  /** η_c of Θ. */
  readonly controlLearningRate: number
  /** η_c of λ. */
  readonly multiplierLearningRate: number
}

const logOdds = (p: number): number => Math.log(p / (1 - p))

/** Fraction of the window in which the target falls. */
const descent = 0.9
/** Factor on the distance, since Θ's steps do not all point one way. */
const reach = 3
/** λ per gate, from 10⁻⁴ to 10⁵. */
const [firstStrength, growth] = [1e-4, 1e9]
/** A budget of 1 has no finite log-odds. This close to 1, it closes no gate. */
const largestTarget = 0.999

/**
 * With progress p = min(1, t / 0.9 N) at gated step t = 1 … N:
 *  - target = σ((1 − p) logit C₀ + p logit b), and b from p = 1 on
 *  - η_Θ = max(η_c, 3 (1 + |logit C₀ − logit b|) / N) · min(1, (1 − (t − 1) / N) / (1 − 0.9))
 *  - η_λ = d/dt of G · 10⁻⁴ · (10⁹)^p = G · 10⁻⁴ · (10⁹)^p · ln 10⁹ / 0.9 N, and constant from p = 1 on.
 */
const ramp = ({ steps, gates, initialDensity, targetDensity, controlLearningRate }: GateWindow, t: number): GateControl => {
  const [from, to] = [logOdds(initialDensity), logOdds(Math.min(targetDensity, largestTarget))]
  const descentSteps = descent * steps
  const p = Math.min(1, t / descentSteps)
  const peak = Math.max(controlLearningRate, (reach * (1 + Math.abs(from - to))) / steps)
  return {
    targetDensity: p === 1 ? targetDensity : sigmoid((1 - p) * from + p * to),
    controlLearningRate: peak * Math.min(1, (1 - (t - 1) / steps) / (1 - descent)),
    multiplierLearningRate: (gates * firstStrength * growth ** p * Math.log(growth)) / descentSteps,
  }
}

/** The scalars of gated step t = 1 … N. */
export const gateControl =
  (window: GateWindow) =>
  (t: number): GateControl => {
    const { targetDensity, controlLearningRate } = window
    if (window.control === 'ramp') return ramp(window, t)
    return { targetDensity, controlLearningRate, multiplierLearningRate: window.control === 'constant' ? 0 : controlLearningRate }
  }

/** The gate window of Algorithm 1: the steps T_start ≤ t < T_end in which gates are sampled. Steps count from 0. */

export interface GateFractions {
  /** T_start / T and T_end / T */
  readonly gateStart: number
  readonly gateEnd: number
  /** T, steps of the whole training. */
  readonly steps: number
}

export interface GateSteps {
  /** The first gated step. */
  readonly start: number
  /** The first step after the window. Triplets are retained before it. */
  readonly end: number
}

/**
 * The first step t with fraction · T ≤ t. In float64, 0.07 · 100 is 7.000000000000001, whose ceiling is 8 instead of 7. 1e-9 is far above this
 * error, and far below the distance of any other product to a whole number.
 */
const firstStepFrom = (fraction: number, steps: number): number => Math.max(0, Math.ceil(fraction * steps - 1e-9))

/** T_start ≤ t < T_end with t the number of steps done: from ⌈T_start⌉ to below ⌈T_end⌉. */
export const gateSteps = ({ gateStart, gateEnd, steps }: GateFractions): GateSteps => ({
  start: firstStepFrom(gateStart, steps),
  end: firstStepFrom(gateEnd, steps),
})
