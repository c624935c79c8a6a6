/** Draws the small models that the two derivations are compared on: everything random, so that no term is symmetric or zero, and all of it exact in float32. */
import * as reference from '../../reference/index.js'
import type { DecoderConfig, EncoderConfig, ModelConfig, Shape, StepSettings, Tensor, Tensors } from '../../reference/index.js'

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
  readonly parameters: reference.Parameters
  readonly batch: reference.Batch
  readonly control: reference.StepControl
  /** Noise of one step. Gates are placed away from the kinks of g, given where log θ is: at a kink float32 and float64 may differ on the side. */
  readonly noiseAt: (adapters: reference.Parameters['adapters'], step: number) => reference.Noise
}

const placements: Readonly<Record<GatePlacement, readonly number[]>> = {
  mixed: [0.3, -0.05, 0.7, 1.05, 0.5],
  inside: [0.3, 0.7, 0.5],
  shut: [-0.05, -0.03],
  open: [1.05, 1.03],
}

const buildConfig = ({
  family,
  taskType,
  heads,
  headSize,
  lengths,
  dropout,
  virtualTokens = 0,
  ...options
}: ModelOptions): EncoderConfig => ({
  ...{ family, taskType, heads, hiddenSize: heads * headSize, vocabularySize: 11 },
  ...{ layers: options.layers, activation: options.activation, intermediateSize: options.intermediateSize },
  maxPositions: Math.max(...lengths) + virtualTokens + 3,
  tokenTypes: family === 'bert' ? 2 : 1,
  ...{ layerNormEpsilon: 1e-5, paddingIndex: 1, hiddenDropout: dropout, attentionDropout: dropout, headDropout: dropout },
  labels: taskType === 'regression' ? 1 : options.classes,
})

/** u for which s̄ is the value wanted: σ(τ logit((s̄ − γ) / (ζ − γ)) − log θ). */
const noiseFor = ({ tau, gamma, zeta }: StepSettings, logTheta: number, s: number): number => {
  const x = (s - gamma) / (zeta - gamma)
  return Math.fround(reference.sigmoid(tau * Math.log(x / (1 - x)) - logTheta))
}

const buildDecoderConfig = ({ heads, headSize, window, gemma, ...options }: DecoderOptions): DecoderConfig => {
  const { layers, intermediateSize, keyValueHeads, biases, queryKeyNorms, tied, rotaryScaling } = options
  const hiddenSize = heads * headSize - 1 // no product of the heads, which a decoder allows
  return {
    ...{ family: 'decoder', taskType: 'causal', layers, heads, keyValueHeads, headSize, intermediateSize, hiddenSize, vocabularySize: 11 },
    ...{ rmsNormEpsilon: 1e-5, rotaryBase: 100, rotaryScaling, biases, queryKeyNorms, tied },
    windows: Array.from({ length: layers }, (_, n) => (gemma && n > 0 ? null : window)),
    ...(gemma ? ofGemma(hiddenSize) : ofLlama),
  }
}

type Style = 'localRotary' | 'outputNorms' | 'normOffset' | 'activation' | 'embeddingScale' | 'scoreScale' | 'scoreCap' | 'logitCap'
const ofLlama: Pick<DecoderConfig, Style> = {
  ...{ localRotary: null, outputNorms: false, normOffset: 0, activation: 'silu' },
  ...{ embeddingScale: 1, scoreScale: null, scoreCap: null, logitCap: null },
}
const ofGemma = (hiddenSize: number): Pick<DecoderConfig, Style> => ({
  ...{ localRotary: { rotaryBase: 30, rotaryScaling: null }, outputNorms: true, normOffset: 1, activation: 'gelu_pytorch_tanh' },
  ...{ embeddingScale: Math.fround(Math.sqrt(hiddenSize)), scoreScale: 0.375, scoreCap: 6, logitCap: 20 },
})

/** The model, batch, settings and noise of these options: the same options give the same numbers. */
export const drawModel = (options: ModelOptions): Model => {
  const { family, lengths, seed } = options
  const config = buildConfig(options)
  const inputIds = drawIds(options, config)
  const labels = {
    classification: () => integers(lengths.length, config.labels, seed, 'labels'),
    regression: () => normals([lengths.length], 1, seed, 'labels').data,
    tokens: () => tokenLabels(inputIds, config.labels, seed),
  }[config.taskType]()
  const batch: reference.Batch = {
    inputIds,
    labels: [...labels],
    ...(family === 'bert' ? { tokenTypeIds: inputIds.map((ids, example) => integers(ids.length, 2, seed, `types ${example}`)) } : {}),
  }
  return drawn(config, options, batch, (step) => reference.drawDropout(config, batch)((seed + hash(`dropout ${step}`)) >>> 0)[0])
}

/** A label for each token; of texts of more than one token the first has none, as a prompt or a special token has none. */
const tokenLabels = (inputIds: readonly (readonly number[])[], classes: number, seed: number): readonly number[] =>
  inputIds.flatMap((ids, example) =>
    integers(ids.length, classes, seed, `labels ${example}`).map((label, i) => (i === 0 && ids.length > 1 ? reference.unlabeled : label)),
  )

/** A decoder, with labels of next tokens. */
export const drawDecoder = (options: DecoderOptions): Model<DecoderConfig> => {
  const config = buildDecoderConfig(options)
  const inputIds = drawIds(options, config)
  const labels = tokenLabels(inputIds, config.vocabularySize, options.seed)
  return drawn(config, options, { inputIds, labels }, () => ({}))
}

const drawIds = ({ lengths, seed }: CommonOptions, { vocabularySize }: ModelConfig): readonly (readonly number[])[] =>
  lengths.map((length, example) => integers(length, vocabularySize, seed, `ids ${example}`))

const drawn = <C extends ModelConfig>(
  config: C,
  options: CommonOptions,
  batch: reference.Batch,
  dropoutAt: (step: number) => Tensors,
): Model<C> => {
  const { rank, seed, gates, tau, beta, clip, loraPlusRatio, orthogonality, orthogonalityAfter, control } = options
  const settings: StepSettings = {
    ...{ tau, gamma: -0.1, zeta: 1.1, alpha: 3, rank, beta, orthogonality, orthogonalityAfter, loraPlusRatio },
    ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
    gateAdam: { beta1: 0.5, beta2: 0.99, epsilon: 1e-8 },
    control,
    ...(clip === null ? {} : { clip }),
  }
  const adapter = (module: string, [d, k]: readonly [number, number]) => ({
    A: normals([rank, k], 1 / Math.sqrt(k), seed, `${module}.A`),
    B: normals([d, rank], 0.5 / Math.sqrt(rank), seed, `${module}.B`),
    logTheta: normals([rank], 1, seed, `${module}.logTheta`),
  })
  const [s, shapes] = [placements[gates], reference.tensorShapes(config)]
  return {
    config,
    settings,
    batch,
    base: tensors(shapes.base, seed),
    parameters: {
      adapters: Object.fromEntries(
        Object.entries(reference.adaptedShapes(config)).map(([module, shape]) => [module, adapter(module, shape)]),
      ),
      head: tensors(shapes.head, seed + 1),
      lambda: Math.fround(0.7),
    },
    // b is far from the density, which starts near 0.9: (C − b)² would lose digits where they are close.
    control: {
      ...{ gating: 'sampled', targetDensity: 0.5, learningRate: 1e-3, controlLearningRate: 0.01 },
      multiplierLearningRate: control === 'constant' ? 0 : 0.05,
    },
    noiseAt: (adapters, step) => ({
      gates: Object.fromEntries(
        Object.entries(adapters).map(([module, { logTheta }], i) => [
          module,
          reference.tensor(
            logTheta.shape,
            logTheta.data.map((location, j) => noiseFor(settings, location, s[(i + j + step) % s.length] ?? NaN)),
          ),
        ]),
      ),
      dropout: dropoutAt(step),
    }),
  }
}

/** Random tensors of small models by seed and name: no term symmetric or zero, and all of it exact in float32. */
const hash = (text: string): number => [...text].reduce((total, letter) => (Math.imul(total, 31) + letter.charCodeAt(0)) >>> 0, 7)
const rounded = reference.map(Math.fround)

export const normals = (shape: Shape, deviation: number, seed: number, name: string): Tensor =>
  rounded(reference.normal(shape, deviation)((seed + hash(name)) >>> 0)[0])

const integers = (count: number, below: number, seed: number, name: string): readonly number[] =>
  [...reference.uniform([count], 0, below)((seed + hash(name)) >>> 0)[0].data].map(Math.floor)

/** The deviation of a tensor: 1 / √inputs for matrices, so that activations are about 1 and no softmax saturates; else 0.5. */
const chooseDeviation = (name: string, [, inputs]: Shape): number =>
  inputs === undefined || name.startsWith('embed') ? 0.5 : 1 / Math.sqrt(inputs)

/** Independent tensors by name: weights of norms around 1, everything else around 0. */
const tensors = (shapes: Readonly<Record<string, Shape>>, seed: number): Tensors =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const values = normals(shape, chooseDeviation(name, shape), seed, name)
      return [name, /norm\.weight$/i.test(name) ? rounded(reference.map((x) => 1 + x / 2)(values)) : values]
    }),
  )
