/** Labelled texts: GLUE's official files, files of the user's own, and the embedded sentences. No tokeniser, no model. */
export { describeProblem, type Problem } from './problem.js'
export type { Dataset, Example, ProblemType, SkippedRow } from './dataset.js'
export { GLUE_NAMES, GLUE_TASKS, isGlueName, type GlueColumns, type GlueName, type GlueTask } from './glueTasks.js'
export { glueFile, labelNamesOf, readGlue, type GlueSplit } from './glue.js'
export { looksLikeFile, readDelimited, type DelimitedOptions } from './delimited.js'
export { readSentiment, SENTIMENT_LABELS, type Sentiment, type SentimentExample } from './sentiment.js'
export { holdOut, labelStrata, tenth, type HoldOutSettings } from './holdOut.js'
export { loadEvaluation, loadTask, type Scoring, type Task, type TaskOptions } from './loadTask.js'
