/** Every setting of SaLoRA with the paper's value and its place in the paper, or with our value where the paper gives none. */
import type { ControlRule } from './gateControl.js'
import type { HardConcrete } from './hardConcrete.js'
import type { OrthogonalitySettings } from './orthogonality.js'
import type { GateAfter } from './prune.js'
import type { RetentionRule } from './retention.js'
import type { AdamWSettings } from '../../training/adamw.js'
import type { InitialSettings } from './trainingState.js'

export interface Settings extends HardConcrete, OrthogonalitySettings, AdamWSettings, InitialSettings {
  /** α; the increment is scaled by α / r. */
  readonly alpha: number
  /** b, the fraction of the adapters' parameters to keep. */
  readonly targetDensity: number
  /** T_start and T_end, the fractions of training between which gates are sampled. */
  readonly gateStart: number
  readonly gateEnd: number
  /** η_p, peak learning rate of A, B and the head. */
  readonly learningRate: number
  /** η_B / η_A: LoRA+ (Hayou et al., 2024) has 4 to 16. */
  readonly loraPlusRatio: number
  /** η_c of Θ and λ. */
  readonly controlLearningRate: number
  /** Density control: our ramp with Adam, the paper's constants with Adam or with plain steps, or equation (10) with λ as `initialLambda`. */
  readonly control: ControlRule
  /** Adam for Θ; beta1, beta2 and epsilon are for W and λ. */
  readonly gateAdam: AdamWSettings
  /** Gates before T_start: all 1, or ĝ. */
  readonly warmupGate: 'open' | 'expected'
  /** Which triplets are retained at T_end. */
  readonly retain: RetentionRule
  /** Gates of the retained triplets. */
  readonly gateAfter: GateAfter
  /** Of A, B and the head's matrices. */
  readonly weightDecay: number
  /** Fraction of training in which η_p rises. */
  readonly warmup: number
  /** Largest global norm of the gradient of A, B and the head; absent: no clipping. */
  readonly clip?: number
}

export const defaultSettings: Settings = {
  rank: 8, // §4.1
  alpha: 16, // appendix, table of hyperparameters
  tau: 1,
  gamma: -0.1,
  zeta: 1.1, // §4.1
  targetDensity: 0.5, // §4.1
  beta: 0.1, // §4.1
  orthogonality: 'mean', // ours: summed as in equation (12), β = 0.1 outweighs the task
  orthogonalityAfter: 'unit', // the paper has one term throughout
  gateStart: 0.2,
  gateEnd: 0.5, // appendix
  learningRate: 4e-4, // appendix: tuned for each task; the value chosen most often for RoBERTa-base
  loraPlusRatio: 1, // the paper has one rate
  controlLearningRate: 0.01, // §4.1
  control: 'ramp', // ours: the paper's plain steps do not move the density
  gateAdam: { beta1: 0.5, beta2: 0.99, epsilon: 1e-8 }, // ours: Θ and λ drive each other, and in a closed loop memory is delay
  warmupGate: 'open', // ours: plain LoRA before T_start
  retain: 'budget', // ours: ĝ > 0 (§3.5) keeps more than b
  gateAfter: 'soft', // ours: folding ĝ into B does not change the function
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8, // ours: §4.1 only names AdamW
  warmup: 0.06, // ours: §4.1 only says linear
  initialization: 'kaiming', // ours, as PEFT's
  initialLogTheta: 0, // the density starts at 0.9167; the paper's figure shows 0.92
  initialLambda: 0, // §4.3, Figure 6
}

/** An invalid setting: its name, the valid values and its value. */
export interface Problem {
  readonly setting: string
  readonly expected: string
  readonly got: string
}

/** One line for a user. */
export const describeProblem = ({ setting, expected, got }: Problem): string => `${setting}: expected ${expected}, got ${got}`

interface Rule {
  readonly expected: string
  readonly holds: (value: number, settings: Settings) => boolean
}

const positive: Rule = { expected: 'a number > 0', holds: (value) => value > 0 }
const notNegative: Rule = { expected: 'a number ≥ 0', holds: (value) => value >= 0 }
const decay: Rule = { expected: 'a number from 0 to below 1', holds: (value) => value >= 0 && value < 1 }
const anything: Rule = { expected: 'a number', holds: () => true }

type NumberSetting = { readonly [K in keyof Settings]-?: NonNullable<Settings[K]> extends number ? K : never }[keyof Settings]

const rules: Readonly<Record<NumberSetting, Rule>> = {
  rank: { expected: 'an integer ≥ 1', holds: (value) => Number.isInteger(value) && value >= 1 },
  alpha: positive,
  tau: positive,
  gamma: { expected: 'a number < 0', holds: (value) => value < 0 },
  zeta: { expected: 'a number > 1', holds: (value) => value > 1 },
  targetDensity: { expected: 'a number > 0 and ≤ 1', holds: (value) => value > 0 && value <= 1 },
  beta: notNegative,
  gateStart: { expected: 'a number ≥ 0 and below gateEnd', holds: (value, { gateEnd }) => value >= 0 && value < gateEnd },
  gateEnd: { expected: 'a number ≤ 1 and above gateStart', holds: (value, { gateStart }) => value <= 1 && value > gateStart },
  learningRate: positive,
  loraPlusRatio: positive,
  controlLearningRate: positive,
  weightDecay: notNegative,
  beta1: decay,
  beta2: decay,
  epsilon: positive,
  warmup: decay,
  clip: positive,
  initialLogTheta: anything,
  initialLambda: notNegative,
}

type ChoiceSetting = 'orthogonality' | 'orthogonalityAfter' | 'control' | 'warmupGate' | 'retain' | 'gateAfter' | 'initialization'

const choices: { readonly [K in ChoiceSetting]: readonly Settings[K][] } = {
  orthogonality: ['mean', 'sum'],
  orthogonalityAfter: ['unit', 'folded', 'off'],
  control: ['ramp', 'adam', 'descent', 'constant'],
  warmupGate: ['open', 'expected'],
  retain: ['budget', 'paper', 'random', 'magnitude'],
  gateAfter: ['soft', 'binary', 'kept'],
  initialization: ['kaiming', 'gaussian'],
}

/** All invalid settings; empty if the settings are valid. */
export const validate = (settings: Settings): readonly Problem[] => {
  const value = (setting: string): unknown => Object.entries(settings).find(([name]) => name === setting)?.[1]
  const problem = (setting: string, expected: string): Problem => ({ setting, expected, got: String(value(setting)) })
  const numbers = Object.entries(rules)
    .filter(([setting]) => !(setting === 'clip' && value(setting) === undefined))
    .filter(([setting, { holds }]) => {
      const number = value(setting)
      return !(typeof number === 'number' && Number.isFinite(number) && holds(number, settings))
    })
    .map(([setting, { expected }]) => problem(setting, expected))
  const words = Object.entries(choices)
    .filter(([setting, allowed]) => !allowed.some((choice) => choice === value(setting)))
    .map(([setting, allowed]) => problem(setting, allowed.join(' or ')))
  return [...numbers, ...words]
}
