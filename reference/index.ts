/**
 * The reference: SaLoRA in float64, to be read.
 *  - It is pure and synchronous: the same arguments give the same numbers, and randomness is an argument.
 *  - It is complete: forward and backward passes by hand-derived rules, optimizer, and pruning, without automatic differentiation.
 *  - It is slow: one core, no blocking, no reuse. Nothing here is optimized for speed.
 *
 * It imports fp-ts and ndarray, reads no file, and does not depend on the accelerated path, which is tested against it.
 *
 * Reading order: layers/lowRank, then in methods/salora/ hardConcrete → orthogonality → lagrangian → objective → trainingStep → gateControl →
 * retention → prune, then training/, models/ and layers/. tensor/ is the arithmetic below all of them.
 */
export { attention, attentionVjp, type AttentionSettings, type QueryKeyValue } from './layers/attention.js'
export { causalAttention, causalAttentionVjp, type CausalAttentionSettings } from './layers/causalAttention.js'
export * from './layers/answerLosses.js'
export * from './layers/losses.js'
export { dropout, dropoutMask, dropoutVjp } from './layers/dropout.js'
export { embedding, embeddingVjp } from './layers/embedding.js'
export type { Tokens } from './models/embeddings.js'
export { erf, erfc } from './layers/gelu.js'
export { gelu, geluVjp, type Activation } from './layers/gelu.js'
export { scaledLinear, type ModuleVector } from './layers/ia3.js'
export { layerNorm, layerNormVjp } from './layers/layerNorm.js'
export { exactLinear, linear, linearBiasVjp, linearInputVjp, linearWeightVjp, type FrozenLinear } from './layers/linear.js'
export { loftq, olora, pissa } from './training/factorStarts.js'
export { fitLinearProbe, probeLogits, probeObjective, toOneHot, type LinearProbe } from './training/linearProbe.js'
export {
  dequantize,
  int8Linear,
  largestLevel,
  quantizedLinear,
  quantizedLinearInputVjp,
  quantizeRows,
  roundRows,
  type Quantized,
  type Rounding,
} from './layers/quantizedLinear.js'
export { int4Linear, isFourBits, quantizeFourBits, roundFrozen, squaredError } from './layers/fourBitLinear.js'
export { blockLinear, blockScales, roundBlocks } from './layers/blockLinear.js'
export { halfLinear, roundToHalf } from './layers/halfLinear.js'
export { meanPool, meanPoolVjp } from './layers/meanPool.js'
export * from './layers/pairLosses.js'
export { rmsNorm, rmsNormVjp } from './layers/rmsNorm.js'
export { frequencies, rotate, type RotaryScaling, type RotarySettings } from './layers/rotary.js'
export { softmax, softmaxVjp } from './layers/softmax.js'
export { withRows, withRowsVjp } from './layers/embedding.js'
export { matMul } from './tensor/matMul.js'
export {
  applyIncrement,
  applyIncrementVjp,
  foldGates,
  increment,
  merge,
  openGates,
  adapterScale,
  type Adapter,
  type Adapters,
  type FactorGradients,
  type Factors,
} from './layers/lowRank.js'
export { gateControl, type ControlRule, type GateControl, type GateWindow } from './methods/salora/gateControl.js'
export { meanGate, rootMeanSquareGate } from './methods/salora/gateMoments.js'
export {
  deterministicGate,
  expectedL0,
  expectedL0Vjp,
  noiseMargin,
  probabilityNonZero,
  probabilityNonZeroVjp,
  sampleGate,
  sampleGateVjp,
  sigmoid,
  type HardConcrete,
} from './methods/salora/hardConcrete.js'
export {
  density,
  densityTerm,
  densityVjp,
  expectedGates,
  multiplierAscent,
  parameterCount,
  penalty,
  penaltySlope,
  project,
  tripletCost,
  violation,
} from './methods/salora/lagrangian.js'
export { drawDropout, drawGateNoise, drawNoise, type Noise } from './methods/salora/noise.js'
export {
  objective,
  type Batch,
  type Constraint,
  type Gating,
  type Objective,
  type ObjectiveSettings,
} from './methods/salora/objective.js'
export {
  orthogonality,
  orthogonalityOfA,
  orthogonalityOfB,
  orthogonalityTerm,
  orthogonalityVjp,
  type OrthogonalitySettings,
  type OrthogonalityTerm,
} from './methods/salora/orthogonality.js'
export { exportedAdapters, prune, pruneState, type GateAfter, type Pruned, type PruneSettings } from './methods/salora/prune.js'
export {
  retained,
  smallestBudget,
  type Permutation,
  type Retained,
  type RetentionRule,
  type RetentionSettings,
} from './methods/salora/retention.js'
export {
  initialAdapters,
  initialHead,
  initialState,
  mapAdapter,
  startFrom,
  type AfterEnd,
  type Parameters,
  type TrainingState,
} from './methods/salora/trainingState.js'
export { trainingStep, type StepControl, type StepReport, type StepSettings } from './methods/salora/trainingStep.js'
export { dropoutSites } from './models/dropoutSites.js'
export {
  encoder,
  mergeAdapters,
} from './models/encoder.js'
export { decoder } from './models/decoder.js'
export { fusedDecoder, fusedDecoderModules } from './models/fusedDecoder.js'
export { gptDecoder, gptDecoderModules, type GptDecoderConfig } from './models/gptDecoder.js'
export { decoderModules, decoderModuleShape, decoderShapes, type DecoderConfig } from './models/decoderConfig.js'
export type { ModelGradients, ModelOptions, Operands, TracedModel } from './models/model.js'
export { adaptedShapes, buildModel, tensorShapes, type ModelConfig, type RunModel } from './models/models.js'
export {
  adaptedModules,
  adapterParameterCount,
  baseShapes,
  gateCount,
  headShapes,
  layerName,
  moduleShape,
  type EncoderConfig,
} from './models/encoderConfig.js'
export { defaultSettings, describeProblem, validate, type Problem, type Settings } from './methods/salora/settings.js'
export type { Shape } from './tensor/shape.js'
export {
  add,
  addRow,
  checkShape,
  columnSums,
  filled,
  generate,
  identity,
  map,
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
} from './tensor/tensor.js'
export { adamw, initMoments, type AdamWSettings, type AdamWStep, type Moments } from './training/adamw.js'
export { normal, uniform, type Seed } from './training/random.js'
export { planEpoch, type EpochOrder } from './training/batchOrder.js'
export {
  constantSchedule,
  constantScheduleWithWarmup,
  cosineSchedule,
  cosineScheduleWithRestarts,
  linearSchedule,
  polynomialSchedule,
  countWarmupSteps,
  type Rate,
  type Schedule,
} from './training/schedules.js'
export { gateSteps, type GateFractions, type GateSteps } from './methods/salora/gateControl.js'
