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

export const idleOptimizers: ReadonlyArray<string> = [...quantized, ...ofConvolutions, ...ofLayers]
