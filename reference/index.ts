/**
 * The reference: SaLoRA in float64, to be read. It is
 *  - pure and synchronous: the same arguments give the same numbers; randomness is an argument;
 *  - complete: forwards, backwards by hand-derived rules, optimiser, pruning; no automatic differentiation;
 *  - slow: one core, no blocking, no reuse. Nothing here is changed to be faster.
 * It imports fp-ts and ndarray, reads no file, and knows nothing of the accelerated path, which is checked against it.
 *
 * Reading order: hardConcrete → lowRank → orthogonality → lagrangian → objective → trainingStep → prune; then layers/.
 */
export { adamw, initMoments, type AdamWSettings, type AdamWStep, type Moments } from './adamw.js'
export {
  encoder,
  mergeAdapters,
  type EncoderGradients,
  type EncoderOptions,
  type Operands,
  type TracedEncoder,
} from './encoder.js'
export {
  adaptedModules,
  adapterParameterCount,
  baseShapes,
  gateCount,
  headShapes,
  layerName,
  moduleShape,
  type EncoderConfig,
} from './encoderConfig.js'
export {
  deterministicGate,
  expectedGate,
  expectedL0,
  expectedL0Vjp,
  noiseMargin,
  probabilityNonZero,
  probabilityNonZeroVjp,
  sampleGate,
  sampleGateVjp,
  sigmoid,
  type HardConcrete,
} from './hardConcrete.js'
export {
  density,
  densityVjp,
  multiplierAscent,
  parameterCount,
  penalty,
  penaltySlope,
  project,
  tripletCost,
  violation,
} from './lagrangian.js'
export {
  applyIncrement,
  applyIncrementVjp,
  foldGates,
  increment,
  merge,
  openGates,
  scaleOf,
  type Adapter,
  type Adapters,
  type FactorGradients,
  type Factors,
} from './lowRank.js'
export { attention, attentionVjp, type AttentionSettings, type QueryKeyValue } from './layers/attention.js'
export { crossEntropy, crossEntropyVjp } from './layers/crossEntropy.js'
export { dropout, dropoutVjp } from './layers/dropout.js'
export { embedding, embeddingVjp } from './layers/embedding.js'
export type { Tokens } from './layers/embeddings.js'
export { erf, erfc } from './layers/erf.js'
export { gelu, geluVjp, type Activation } from './layers/gelu.js'
export { layerNorm, layerNormVjp } from './layers/layerNorm.js'
export { linear, linearBiasVjp, linearInputVjp, linearWeightVjp } from './layers/linear.js'
export { meanSquaredError, meanSquaredErrorVjp } from './layers/meanSquaredError.js'
export { softmax, softmaxVjp } from './layers/softmax.js'
export { drawDropout, drawGateNoise, drawNoise, dropoutSites, type Noise } from './noise.js'
export {
  objective,
  type Batch,
  type Constraint,
  type Gating,
  type Objective,
  type ObjectiveSettings,
} from './objective.js'
export { orthogonality, orthogonalityVjp } from './orthogonality.js'
export { prune, pruneState, type Pruned, type PruneSettings, type Retained } from './prune.js'
export { dropoutMask, normal, uniform, type Seed } from './random.js'
export { gateWindow, linearSchedule, type GateWindow, type LinearSchedule } from './schedule.js'
export { defaultSettings, describeProblem, validate, type Problem, type Settings } from './settings.js'
export type { Shape } from './shape.js'
export {
  add,
  addRow,
  checkShape,
  columnSums,
  filled,
  generate,
  identity,
  map,
  matMul,
  multiply,
  multiplyColumn,
  multiplyRow,
  named,
  reshape,
  rowMaxima,
  rowMeans,
  rowSums,
  scaleBy,
  scatterRows,
  selectColumns,
  selectRows,
  slice,
  squaredNorm,
  stackColumns,
  stackRows,
  subtract,
  subtractColumn,
  sum,
  tensor,
  transpose,
  zerosLike,
  zipWith,
  type Tensor,
  type Tensors,
} from './tensor.js'
export {
  initialAdapters,
  initialHead,
  initialState,
  mapAdapter,
  startFrom,
  type Parameters,
  type TrainingState,
} from './trainingState.js'
export { trainingStep, type StepControl, type StepReport, type StepSettings } from './trainingStep.js'
