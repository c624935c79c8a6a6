/** How a session is opened, whichever binding of ONNX Runtime opens it: where its weights are, and the optimizers that stay off. */
import type { InferenceSession } from 'onnxruntime-node'
import { type Outputs, topologicalOrder, type Expression } from '../graph/expression.js'
import type { EngineSettings, OpenOptions, WeightSource } from './engine.js'

/**
 * Half a gigabyte: above it, memory is worth more than what reordered copies of the weights save. In float32 this is 8 % of a step's time. In int8,
 * SmolLM2's copies take 1.2 s to make, and save 40 ms a step (16 % of 2 × 64 tokens, 4 % of 4 × 128).
 */
const largeWeights = 2 ** 29

/** Whether a session of this graph keeps float32 weights a second time, reordered for its products. */
export const prepacks = (outputs: Outputs, { prepack = true }: OpenOptions): boolean => {
  const order = topologicalOrder(Object.values(outputs))
  return !order.some(({ op }) => op === 'TransposedView' || op === 'FourBitMatMul') && (prepack || weightBytes(order) < largeWeights)
}

const expandsLevels = (outputs: Outputs): boolean => topologicalOrder(Object.values(outputs)).some(({ op }) => op === 'FourBitMatMul')

const weightBytes = (order: readonly Expression[]): number =>
  order.reduce((sum, { attributes }) => sum + (attributes.external?.length ?? 0), 0)

const disabledOptimizers = [
  'QuickGeluFusion', // turns x · σ(x) into a node that the CPU provider has only in float32, and then refuses the graph in float64
  'DivMulFusion', // rounds y · (1 / x) differently if nothing else reads 1 / x, as in a recomputed layer
]

/** Keeps everything it computes from weights by Cast or Transpose for as long as the session lives. */
const constantFolding = 'ConstantFolding'

/** Would expand the levels of a matrix once for a layer and its gradient, and keep them in between. */
const merging = 'CommonSubexpressionElimination'

type ExternalData = { readonly path: string; readonly data: Uint8Array }
type WeightFiles = {
  /** ONNX Runtime maps the files of this folder into memory. */
  readonly folder: string | null
  /** The bytes of files that cannot be mapped. ONNX Runtime copies them for each session. */
  readonly externalData: readonly ExternalData[]
}

export const noFiles: WeightFiles = { folder: null, externalData: [] }

/** Where the frozen weights of a graph are. */
export const weightFiles = async (outputs: Outputs, weights: WeightSource): Promise<WeightFiles> => {
  const order = topologicalOrder(Object.values(outputs))
  if (weightBytes(order) === 0) return noFiles
  const source = await weights()
  if (typeof source === 'string') return { folder: source, externalData: [] }
  const locations = new Set(order.flatMap(({ attributes }) => (attributes.external === undefined ? [] : [attributes.external.location])))
  return { folder: null, externalData: await Promise.all([...locations].map(async (path) => ({ path, data: await source(path) }))) }
}

type NativeOptions = WeightFiles & {
  readonly prepacks: boolean
  /** whether equal nodes become one */
  readonly merges: boolean
  readonly spins: boolean
  /** whether salora wrote the graph for this session */
  readonly ownGraph: boolean
}

/** How a session of a graph that salora wrote is opened. */
export const generatedGraphOptions = (outputs: Outputs, files: WeightFiles, options: OpenOptions): NativeOptions => ({
  ...files,
  merges: !expandsLevels(outputs),
  prepacks: prepacks(outputs, options),
  spins: options.mode !== 'decode',
  ownGraph: true,
})

/** ONNX Runtime's options, the same for all its bindings. */
export const sessionOptions = (
  { provider }: { readonly provider: { readonly name: string } & Readonly<Record<string, unknown>> },
  { threads, profile }: EngineSettings,
  { folder, externalData, prepacks: reorders, merges, spins, ownGraph: isOurs }: NativeOptions,
): InferenceSession.SessionOptions => {
  const disabled = [
    ...disabledOptimizers,
    ...(reorders ? [] : [constantFolding]),
    ...(merges ? [] : [merging]),
    ...(isOurs ? idleOptimizers : []),
  ]
  return {
    executionProviders: [provider],
    ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
    // A memory pattern is a plan for one batch shape. Ours vary, and for RoBERTa-base it costs 1.1 GB without being faster.
    enableMemPattern: false,
    ...(externalData.length === 0 ? {} : { externalData }),
    extra: {
      optimization: { disable_specified_optimizers: disabled.join(';') },
      session: {
        ...(folder === null ? {} : { model_external_initializers_file_folder_path: folder }),
        ...(reorders ? {} : { disable_prepacking: '1' }),
        // A decoding step is hundreds of small products: spinning threads cost as much as the work, and halve the speed on a busy machine.
        ...(spins ? {} : { 'intra_op.allow_spinning': '0' }),
      },
    },
    ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
    logSeverityLevel: 3,
  }
}

/**
 * Optimizers of ONNX Runtime that find nothing in a graph of ours: they look for other layers, or we write what they would make. Each walks the whole
 * graph, twice at least: together a quarter of the time until a decoder's step is ready. ONNX Runtime ignores names that it does not know.
 */
const quantized = [
  'DoubleQDQPairsRemover',
  'EnsureUniqueDQForNodeUnit',
  'MatMulNBitsFusion',
  'QDQFinalCleanupTransformer',
  'QDQPropagationTransformer',
  'QDQS8ToU8Transformer',
  'QDQSelectorActionTransformer',
  'WeightBiasQuantization',
  'WhereDummyDq',
]

const ofConvolutions = [
  'ConvActivationFusion',
  'ConvAddActivationFusion',
  'NchwcTransformer',
  'NhwcTransformer',
  'SliceConcatToSpaceToDepthFusion',
]

const ofLayers = [
  'AttentionFusion',
  'BiasDropoutFusion',
  'BiasSkipLayerNormFusion',
  'BiasSoftmaxFusion',
  'EmbedLayerNormFusion',
  'FastGeluFusion',
  'GatherToSliceFusion',
  'GeluFusionL1',
  'GeluFusionL2',
  'GemmActivationFusion',
  'GroupQueryAttentionFusion',
  'GroupQueryAttentionPreNormFusion',
  'LayerNormFusionL1',
  'LayerNormFusionL2',
  'MatMulActivationFusion',
  'SimplifiedLayerNormFusion',
  'SkipLayerNormFusion',
]

export const idleOptimizers: readonly string[] = [...quantized, ...ofConvolutions, ...ofLayers]
