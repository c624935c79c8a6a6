/**
 * `salora/web`: fine-tuning in a browser. This folder has the library entry and, in page/, the page that trains on the visitor's own data.
 * What trains, reads and writes anywhere belongs in the rooms below; what only a browser has belongs here.
 */
import './bufferGlobal.js' // first: csv-parse asks for it as it loads
export { finetune, methodNames, type Place } from './finetune.js'
export type { Watch } from './watch.js'
export type { ProposedColumns } from '../finetuning/data/columnContent.js'
export {
  checkModelSize,
  findHubModel,
  hubCacheName,
  hubFiles,
  type HubCache,
  type HubModel,
  type HubPlace,
  type HubProgress,
} from './hubModel.js'
export { exportForTransformersJs, inspect, predictor, readColumns, readRunEvents, withShares } from './predict.js'
export { openLabeling, type Labeling, type ToLabel } from './label.js'
export { report, type DataSummary, type Predictor, type ReportFiles } from './predict.js'
export { gpuRuntime, wasmRuntime, type WebRuntimeFiles } from '../accelerated/engines/onnxRuntimeWeb.js'
export { wasm, webGpu, type GpuFeatures, type WebRuntime } from '../accelerated/engines/onnxRuntimeWeb.js'
export { browserFiles, mounted, type FolderHandle } from '../accelerated/storage/browser.js'
export { memoryStorage } from '../accelerated/storage/memory.js'
export type { Storage } from '../accelerated/storage/storage.js'
export { InputError } from '../accelerated/errors/inputError.js'
export type { OptionStyle, Text } from '../accelerated/errors/words.js'
export { readRunConfig, readRunResult } from '../finetuning/run/runFiles.js'
export type { FinetuneEvent, FinetuneOptions, RunResult } from '../finetuning/run/run.js'
