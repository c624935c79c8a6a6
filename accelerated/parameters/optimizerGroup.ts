/** Groups of parameters that one optimizer updates alike: its constants, its direction and the feeds of its learning rate. */
export type AdamWSettings = { readonly beta1: number; readonly beta2: number; readonly epsilon: number }

export type OptimizerGroup = {
  readonly name: string
  /** Adam with these constants, or null for plain gradient steps */
  readonly adam: AdamWSettings | null
  readonly weightDecay: number
  readonly direction: 'descent' | 'ascent'
  /** the feed of its learning rate */
  readonly learningRateFeed: string
  /** its learning rate over the feed's; LoRA+ has 4 to 16 for B */
  readonly learningRateRatio: number
  /** the prefix of its bias corrections' feeds: `gate` → gateCorrection1, gateCorrection2 */
  readonly correctionPrefix: string
  /** part of W: its gradient is clipped, and counts in the reported norm */
  readonly isWeight: boolean
  /** projected to ≥ 0 after each step */
  readonly nonNegative: boolean
}

/** The feeds of a group's bias corrections, 1 − β₁ᵗ and 1 − β₂ᵗ. */
export const correctionNames = (prefix: string): readonly [string, string] => [`${prefix}Correction1`, `${prefix}Correction2`]

/** W descends by AdamW at η_p. Matrices decay, vectors do not. */
export type WeightGroups = Readonly<Record<'decayed' | 'undecayed', OptimizerGroup>>

export const weightGroups = (adam: AdamWSettings, weightDecay: number): WeightGroups => {
  const group = (name: string, decay: number): OptimizerGroup => ({
    name,
    adam,
    weightDecay: decay,
    direction: 'descent',
    learningRateFeed: 'learningRate',
    learningRateRatio: 1,
    correctionPrefix: 'weight',
    isWeight: true,
    nonNegative: false,
  })
  return { decayed: group('decayed', weightDecay), undecayed: group('undecayed', 0) }
}
