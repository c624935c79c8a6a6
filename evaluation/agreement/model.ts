/** Small models to compare the two derivations on: everything random, so that no term is symmetric or zero, and all of it exact in float32. */
import type {
  Batch,
  DecoderConfig,
  EncoderConfig,
  ModelConfig,
  Noise,
  Parameters,
  StepControl,
  StepSettings,
  Tensors,
} from '../../reference/index.js'

/** Where sampled gates lie: all shut (s̄ < 0), all open (s̄ > 1), all strictly between, or some of each. */
export type GatePlacement = 'mixed' | 'inside' | 'shut' | 'open'

/** What models of every kind have. */
export type CommonOptions = {
  readonly layers: number
  readonly heads: number
  /** even in a decoder */
  readonly headSize: number
  readonly intermediateSize: number
  readonly rank: number
  /** tokens of each example */
  readonly lengths: readonly number[]
  readonly gates: GatePlacement
  readonly tau: number
  readonly beta: number
  readonly clip: number | null
  /** η_B / η_A */
  readonly loraPlusRatio: 1 | 4
  readonly orthogonality: StepSettings['orthogonality']
  readonly orthogonalityAfter: StepSettings['orthogonalityAfter']
  readonly control: StepSettings['control']
  readonly seed: number
}

export type ModelOptions = CommonOptions & {
  readonly family: EncoderConfig['family']
  readonly taskType: EncoderConfig['taskType']
  readonly activation: EncoderConfig['activation']
  /** classes; a regression has one output */
  readonly classes: number
  /** probability of each dropout; 1 / (1 − p) must be a float32 */
  readonly dropout: 0 | 0.2 | 0.5
  /** positions before each text that a method may need */
  readonly virtualTokens?: number
}

export type DecoderOptions = CommonOptions &
  Pick<DecoderConfig, 'keyValueHeads' | 'biases' | 'queryKeyNorms' | 'tied' | 'rotaryScaling'> & {
    /** of all layers, or in Gemma of the first */
    readonly window: number | null
    /** norms of outputs and with an offset, GELU, scaled embeddings and scores, soft caps, and a local rotation */
    readonly gemma: boolean
  }

export type Model<C extends ModelConfig = EncoderConfig> = {
  readonly config: C
  readonly settings: StepSettings
  readonly base: Tensors
  readonly parameters: Parameters
  readonly batch: Batch
  readonly control: StepControl
  /** Noise of one step. Gates are placed away from the kinks of g, given where log θ is: at a kink float32 and float64 may differ on the side. */
  readonly noiseAt: (adapters: Parameters['adapters'], step: number) => Noise
}
