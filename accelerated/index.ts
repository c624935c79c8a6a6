/**
 * The accelerated path: SaLoRA as ONNX training graphs that are written, differentiated and run here, over Hugging Face checkpoints. It is
 *  - derived on its own: nothing here calls the reference, or their agreement would prove nothing;
 *  - layered: graph/ knows tensors and no method; the files beside this one are the method as expressions, one noun each, under the names
 *    that reference/ uses; training/ is the run; checkpoint/ and adapter/ are files; runtime/ alone touches ONNX Runtime.
 *
 * Reading order: hardConcrete → lowRank → orthogonality → lagrangian → salora → trainingStep → training/train; then graph/.
 */
export type { Adapter, LowRankPair, Weights } from './adapter/adapter.js'
export { padToRank } from './adapter/adapter.js'
export type { LoadedAdapter } from './adapter/loadPeft.js'
export { loadAdapter } from './adapter/loadPeft.js'
export { peftFiles, saveAdapter } from './adapter/peft.js'
export { adamw, projectToNonNegative } from './adamw.js'
export { FileError } from './checkpoint/fileError.js'
export { resolveModel } from './checkpoint/hub.js'
export type { ModelFolder } from './checkpoint/modelFolder.js'
export { checkFinite, openModelFolder } from './checkpoint/modelFolder.js'
export type { EncoderConfig } from './encoderConfig.js'
export { adapterModules, baseTensorShapes, headTensorShapes } from './encoderConfig.js'
export { encoder } from './encoder.js'
export { frozenWeights, weightFiles } from './frozenWeights.js'
export { gateControl } from './gateControl.js'
export type { Expression } from './graph/expression.js'
export { gradient } from './graph/gradient.js'
export { toOnnx } from './graph/onnx.js'
export { print } from './graph/print.js'
export { deterministicGate, probabilityNonZero, sampleGate } from './hardConcrete.js'
export { density, gateCosts, lagrangian } from './lagrangian.js'
export { addLowRank } from './lowRank.js'
export { orthogonality } from './orthogonality.js'
export { packBatch } from './packing.js'
export { openPredictor } from './prediction.js'
export { retain } from './retention.js'
export { chooseDevice, DeviceError, probeDevice, probeDevices } from './runtime/deviceProbe.js'
export { openSession } from './runtime/session.js'
export { saloraObjective, saloraTrainables } from './salora.js'
export type { Settings, SettingsInput } from './settings.js'
export { resolveSettings, SettingsError } from './settings.js'
export { loadTokenizer } from './tokenizer.js'
export type { TrainingEvent, TrainingResult, TrainingTask } from './training/train.js'
export { train, TrainingError } from './training/train.js'
export { startOfRun } from './training/startOfRun.js'
export { trainingStep } from './trainingStep.js'
