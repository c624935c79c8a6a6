/** The configuration of a RoBERTa or BERT encoder, and the names and shapes of its tensors. */
import type { Activation } from '../layers/gelu.js'
import { mismatch, type Shape } from '../tensor/shape.js'

export interface EncoderConfig {
  readonly family: 'roberta' | 'bert'
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  readonly maxPositions: number
  readonly tokenTypes: number
  readonly layerNormEpsilon: number
  readonly activation: Activation
  readonly paddingIndex: number
  readonly hiddenDropout: number
  readonly attentionDropout: number
  readonly headDropout: number
  /** Outputs of the head: classes, or 1 for a regression. */
  readonly labels: number
  /** tokens: a class for each token that has a label */
  readonly taskType: 'classification' | 'regression' | 'tokens'
}

export const layerName = (layer: number): string => `encoder.layer.${layer}`

const listLayers = ({ layers }: EncoderConfig): readonly string[] => Array.from({ length: layers }, (_, n) => layerName(n))

/** [d, k] of the six matrices of a layer: W_Q, W_K, W_V, W_O, W_U and W_D in the paper's names. */
const matrices = ({ hiddenSize: h, intermediateSize: f }: EncoderConfig): Readonly<Record<string, readonly [number, number]>> => ({
  'attention.self.query': [h, h],
  'attention.self.key': [h, h],
  'attention.self.value': [h, h],
  'attention.output.dense': [h, h],
  'intermediate.dense': [f, h],
  'output.dense': [h, f],
})

/** The modules that get an adapter, first layer first: six in each. */
export const adaptedModules = (config: EncoderConfig): readonly string[] =>
  listLayers(config).flatMap((layer) => Object.keys(matrices(config)).map((matrix) => `${layer}.${matrix}`))

/** [d, k] of an adapted module's matrix. @throws Error for a module without adapter */
export const moduleShape = (config: EncoderConfig, module: string): readonly [number, number] =>
  matrices(config)[module.replace(/^encoder\.layer\.\d+\./, '')] ?? mismatch('moduleShape', 'an adapted module', module)

/** r (d + k) over the adapted modules: the trainable parameters of the adapters, head excluded. */
export const adapterParameterCount = (config: EncoderConfig, rank: number): number =>
  adaptedModules(config)
    .map((module) => moduleShape(config, module))
    .reduce((total, [d, k]) => total + rank * (d + k), 0)

/** One gate for each component of each adapted module. */
export const gateCount = (config: EncoderConfig, rank: number): number => rank * adaptedModules(config).length

const linearShapes = (name: string, out: number, input: number): Readonly<Record<string, Shape>> => ({
  [`${name}.weight`]: [out, input],
  [`${name}.bias`]: [out],
})

const normShapes = (name: string, width: number): Readonly<Record<string, Shape>> => ({
  [`${name}.weight`]: [width],
  [`${name}.bias`]: [width],
})

/** The encoder's tensors by name, without the head. */
export const baseShapes = (config: EncoderConfig): Readonly<Record<string, Shape>> => {
  const h = config.hiddenSize
  return {
    'embeddings.word_embeddings.weight': [config.vocabularySize, h],
    'embeddings.position_embeddings.weight': [config.maxPositions, h],
    'embeddings.token_type_embeddings.weight': [config.tokenTypes, h],
    ...normShapes('embeddings.LayerNorm', h),
    ...Object.assign({}, ...adaptedModules(config).map((module) => linearShapes(module, ...moduleShape(config, module)))),
    ...Object.assign(
      {},
      ...listLayers(config).map((layer) => ({
        ...normShapes(`${layer}.attention.output.LayerNorm`, h),
        ...normShapes(`${layer}.output.LayerNorm`, h),
      })),
    ),
  }
}

/** The head's tensors by name: trained beside the adapters, outside the budget. */
export const headShapes = ({ family, hiddenSize, labels, taskType }: EncoderConfig): Readonly<Record<string, Shape>> => {
  if (taskType === 'tokens') return linearShapes('classifier', labels, hiddenSize)
  return family === 'roberta'
    ? { ...linearShapes('classifier.dense', hiddenSize, hiddenSize), ...linearShapes('classifier.out_proj', labels, hiddenSize) }
    : { ...linearShapes('pooler.dense', hiddenSize, hiddenSize), ...linearShapes('classifier', labels, hiddenSize) }
}
