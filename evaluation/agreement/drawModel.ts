/** Draws the small models that the two derivations are compared on. The same options give the same numbers. */
import {
  adaptedShapes,
  drawDropout,
  sigmoid,
  tensor,
  unlabeled,
  type Batch,
  type DecoderConfig,
  type EncoderConfig,
  type ModelConfig,
  type StepSettings,
  tensorShapes,
  type Tensors,
  map,
  normal,
  uniform,
  type Shape,
  type Tensor,
} from '../../reference/index.js'
import type { GatePlacement, CommonOptions, ModelOptions, DecoderOptions, Model } from './model.js'

const placements: Readonly<Record<GatePlacement, readonly number[]>> = {
  mixed: [0.3, -0.05, 0.7, 1.05, 0.5],
  inside: [0.3, 0.7, 0.5],
  shut: [-0.05, -0.03],
  open: [1.05, 1.03],
}

const configOf = ({
  family,
  taskType,
  activation,
  layers,
  heads,
  headSize,
  intermediateSize,
  lengths,
  classes,
  dropout,
  virtualTokens = 0,
}: ModelOptions): EncoderConfig => ({
  family,
  taskType,
  activation,
  layers,
  heads,
  intermediateSize,
  hiddenSize: heads * headSize,
  vocabularySize: 11,
  maxPositions: Math.max(...lengths) + virtualTokens + 3,
  tokenTypes: family === 'bert' ? 2 : 1,
  layerNormEpsilon: 1e-5,
  paddingIndex: 1,
  hiddenDropout: dropout,
  attentionDropout: dropout,
  headDropout: dropout,
  labels: taskType === 'regression' ? 1 : classes,
})

/** u for which s̄ is the value wanted: σ(τ logit((s̄ − γ) / (ζ − γ)) − log θ). */
const noiseFor = ({ tau, gamma, zeta }: StepSettings, logTheta: number, s: number): number => {
  const x = (s - gamma) / (zeta - gamma)
  return Math.fround(sigmoid(tau * Math.log(x / (1 - x)) - logTheta))
}

const decoderConfigOf = ({
  layers,
  heads,
  headSize,
  intermediateSize,
  keyValueHeads,
  window,
  gemma,
  biases,
  queryKeyNorms,
  tied,
  rotaryScaling,
}: DecoderOptions): DecoderConfig => ({
  family: 'decoder',
  taskType: 'causal',
  layers,
  heads,
  keyValueHeads,
  headSize,
  intermediateSize,
  hiddenSize: heads * headSize - 1, // no product of the heads, which a decoder allows
  vocabularySize: 11,
  rmsNormEpsilon: 1e-5,
  rotaryBase: 100,
  rotaryScaling,
  windows: Array.from({ length: layers }, (_, n) => (gemma && n > 0 ? null : window)),
  biases,
  queryKeyNorms,
  tied,
  ...(gemma ? ofGemma(heads * headSize - 1) : ofLlama),
})

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
  const config = configOf(options)
  const inputIds = idsOf(options, config)
  const labels = {
    classification: () => integers(lengths.length, config.labels, seed, 'labels'),
    regression: () => normals([lengths.length], 1, seed, 'labels').data,
    tokens: () => tokenLabels(inputIds, config.labels, seed),
  }[config.taskType]()
  const batch: Batch = {
    inputIds,
    labels: [...labels],
    ...(family === 'bert' ? { tokenTypeIds: inputIds.map((ids, example) => integers(ids.length, 2, seed, `types ${example}`)) } : {}),
  }
  return drawn(config, options, batch, (step) => drawDropout(config, batch)((seed + hash(`dropout ${step}`)) >>> 0)[0])
}

/** A label for each token; of texts of more than one token the first has none, as a prompt or a special token has none. */
const tokenLabels = (inputIds: readonly (readonly number[])[], classes: number, seed: number): readonly number[] =>
  inputIds.flatMap((ids, example) =>
    integers(ids.length, classes, seed, `labels ${example}`).map((label, i) => (i === 0 && ids.length > 1 ? unlabeled : label)),
  )

/** A decoder, with labels of next tokens. */
export const drawDecoder = (options: DecoderOptions): Model<DecoderConfig> => {
  const config = decoderConfigOf(options)
  const inputIds = idsOf(options, config)
  const labels = tokenLabels(inputIds, config.vocabularySize, options.seed)
  return drawn(config, options, { inputIds, labels }, () => ({}))
}

const idsOf = ({ lengths, seed }: CommonOptions, { vocabularySize }: ModelConfig): readonly (readonly number[])[] =>
  lengths.map((length, example) => integers(length, vocabularySize, seed, `ids ${example}`))

const drawn = <C extends ModelConfig>(config: C, options: CommonOptions, batch: Batch, dropoutAt: (step: number) => Tensors): Model<C> => {
  const { rank, seed, gates, tau, beta, clip, loraPlusRatio, orthogonality, orthogonalityAfter, control } = options
  const settings: StepSettings = {
    tau,
    gamma: -0.1,
    zeta: 1.1,
    alpha: 3,
    rank,
    beta,
    orthogonality,
    orthogonalityAfter,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.01,
    loraPlusRatio,
    gateAdam: { beta1: 0.5, beta2: 0.99, epsilon: 1e-8 },
    control,
    ...(clip === null ? {} : { clip }),
  }
  const adapter = (module: string, [d, k]: readonly [number, number]) => ({
    A: normals([rank, k], 1 / Math.sqrt(k), seed, `${module}.A`),
    B: normals([d, rank], 0.5 / Math.sqrt(rank), seed, `${module}.B`),
    logTheta: normals([rank], 1, seed, `${module}.logTheta`),
  })
  const [s, shapes] = [placements[gates], tensorShapes(config)]
  return {
    config,
    settings,
    batch,
    base: tensors(shapes.base, seed),
    parameters: {
      adapters: Object.fromEntries(Object.entries(adaptedShapes(config)).map(([module, shape]) => [module, adapter(module, shape)])),
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
          tensor(
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
const rounded = map(Math.fround)

export const normals = (shape: Shape, deviation: number, seed: number, name: string): Tensor =>
  rounded(normal(shape, deviation)((seed + hash(name)) >>> 0)[0])

const integers = (count: number, below: number, seed: number, name: string): readonly number[] =>
  [...uniform([count], 0, below)((seed + hash(name)) >>> 0)[0].data].map(Math.floor)

/** The deviation of a tensor: 1 / √inputs for matrices, so that activations are about 1 and no softmax saturates; else 0.5. */
const deviationOf = (name: string, [, inputs]: Shape): number =>
  inputs === undefined || name.startsWith('embed') ? 0.5 : 1 / Math.sqrt(inputs)

/** Independent tensors by name: weights of norms around 1, everything else around 0. */
const tensors = (shapes: Readonly<Record<string, Shape>>, seed: number): Tensors =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const values = normals(shape, deviationOf(name, shape), seed, name)
      return [name, /norm\.weight$/i.test(name) ? rounded(map((x) => 1 + x / 2)(values)) : values]
    }),
  )
