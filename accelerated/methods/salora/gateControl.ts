/**
 * What drives the density to its target within the gate window: three scalars a step, pure functions of the window and the budget.
 *
 * The paper fixes η_c = 0.01 for Θ and λ and holds b constant. With 100 gated steps log θ can then move by about 1, and 0.9167 → 0.5 needs
 * 2.4; and λ, rising by 0.01 a step, stays far below the task's own gradient. So:
 *  - the target is lowered along a straight line in log-odds over the first 60 % of the window (as FLOP and CoFiPruning warm up theirs), and
 *    is b from then on: the violation stays small, and Adam still sees the task's gradient beside the constraint's;
 *  - η_Θ is η_c, or what crosses that distance in time where η_c would not; it falls linearly to 0 over the last 40 %, which ends hunting;
 *  - λ's step is G · 10⁻⁴ growing geometrically to G · 10⁵ (G gates): at rest |C − b| = |task force| / (2λ wⱼ P(1 − P)), wⱼ ~ 1/G, and the
 *    size of the task's force is unknown over decades, so all of them are passed at the same relative speed. Once λ holds the constraint,
 *    (C − b)² is tiny against Adam's memory, and λ all but stops.
 * Above about 1,000 gated steps η_Θ is the paper's 0.01. Adam's memory for log θ is short (β₁ = 0.5, β₂ = 0.99): in a closed loop memory is delay.
 */
import type { AdamWSettings } from '../../training/adamw.js'

export const gateAdam: AdamWSettings = { beta1: 0.5, beta2: 0.99, epsilon: 1e-8 }

export type GateControl = { readonly targetDensity: number; readonly controlLearningRate: number; readonly multiplierLearningRate: number }

export type GateWindow = {
  /** N: steps in which gates are sampled */
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

const descent = 0.6 // share of the window in which the target falls
const reach = 3 // times the distance that Adam's steps could cover if all pointed one way
const [firstStrength, growth] = [1e-4, 1e9] // λ's step per gate: from 10⁻⁴ to 10⁵

const logit = (p: number): number => Math.log(p / (1 - p))
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** A budget of everything has no finite log-odds; this close to 1 no gate is closed by it. */
const largestTarget = 0.999

/** The scalars of gated step t = 1 … N. */
export const gateControl =
  ({ steps, gates, initialDensity, targetDensity, controlLearningRate }: GateWindow) =>
  (t: number): GateControl => {
    const [from, to] = [logit(initialDensity), logit(Math.min(targetDensity, largestTarget))]
    const progress = Math.min(1, t / (descent * steps))
    const peak = Math.max(controlLearningRate, (reach * (1 + Math.abs(from - to))) / steps)
    return {
      targetDensity: progress === 1 ? targetDensity : sigmoid((1 - progress) * from + progress * to),
      controlLearningRate: peak * Math.min(1, (1 - (t - 1) / steps) / (1 - descent)),
      multiplierLearningRate: (gates * firstStrength * growth ** progress * Math.log(growth)) / (descent * steps),
    }
  }
