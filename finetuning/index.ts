/**
 * Fine-tuning as a library: from a dataset and a model's name to an adapter, and from an adapter to predictions, text and exports.
 * What belongs here is what users of the library call. Graphs, methods and formats are accelerated/; the paper's evaluation is evaluation/.
 */

// Train
export { finetune } from './finetune.js'
export { finetuneJob } from './nodeMachine.js'
export type { FinetuneEvent, FinetuneOptions, RunConfig, RunFacts, RunOptions, RunResult, Scores } from './run/run.js'
export type { SamplePrompt } from './run/samplePrompts.js'
export type { TrackerName } from './run/tracking/service.js'
export { readRunConfig, readRunResult } from './run/runFiles.js'
export { estimateRun, type Estimate } from './run/estimateRun.js'
export { embeddedModel, quickstartSettings, quickstartTask } from './embedded/quickstart.js'

// Data and scores
export { loadEvaluation, loadTask, taskNames, type Evaluation, type LoadedTask, type TaskName, type TaskOptions } from './tasks/index.js'
export type { TaskType } from './tasks/taskType.js'
export { inspectData, type InspectOptions, type Inspection } from './inspection/inspectData.js'
export type { Dataset, Example } from './data/index.js'
export type { MetricDefinition, MetricValue } from './metrics/customMetric.js'
export { accuracy, f1, macroF1, majorityClass, matthews, pearson, score, spearman, type MetricName } from './metrics/index.js'

// Use a run
export {
  openRun,
  type GenerationPiece,
  type OpenRun,
  type OpenRunOptions,
  type RunEntity,
  type RunPrediction,
  type RunTaskType,
  type RunText,
} from './use/serving/openRun.js'

// Use an adapter
export {
  openTrainedAdapter,
  type OpenAdapter,
  type Text,
  type TrainedAdapter,
  type TrainedAdapterOptions,
} from './use/openModel.js'
export { scoreAdapter, type AdapterScore } from './use/scoreAdapter.js'
export { openConversation, type Conversation } from './use/conversation.js'
export { openGenerator, type AnswerEvent, type Generator, type GeneratorOptions } from './use/generator.js'
export type { Prompt } from './tasks/texts/prompts.js'
export { exportAdapter, type ExportOptions, type ExportReport } from './use/exportAdapter.js'
export { exportFormats, type ExportFormat } from './use/exportFormats.js'
export { mergeAdapters, mergeMethods, type MergeMethod, type MergeOptions, type MergeReport } from './use/mergeAdapters.js'
export { rankPatternOfRun, type RankPattern } from './use/rankPattern.js'
