/**
 * The table of GLUE tasks: official folders and files, columns, metrics, and labels. Labels are in the order of Hugging Face's dataset `glue`, so
 * that label indices agree with published checkpoints.
 *
 * GLUE (Wang et al., 2019) scores a task with two metrics by their unweighted mean, so `mean` also selects its best checkpoint. Table 1 of the
 * SaLoRA paper has one metric per task: `paperMetric`.
 */
import type { METRICS, SelectionMetric } from '../metrics/score.js'

type GlueMetric = keyof typeof METRICS

export type GlueName = 'cola' | 'sst2' | 'mrpc' | 'stsb' | 'rte' | 'qnli' | 'qqp' | 'mnli' | 'wnli'

/** Columns by name if the file has a header, else by number (from 0) among `width`. */
export type GlueColumns =
  | { readonly header: true; readonly text: string; readonly textPair?: string; readonly label: string }
  | { readonly header: false; readonly width: number; readonly text: number; readonly label: number }

export type GlueTask = {
  readonly folder: string
  readonly trainFile: string
  readonly devFile: string
  /** MNLI's second dev set: the name in its scores, the official file, and the hub's split. */
  readonly second?: { readonly name: string; readonly devFile: string; readonly split: string }
  readonly columns: GlueColumns
  /** How each class is written in the file, and its name at Hugging Face; null: a score from 0 to 5. */
  readonly labels: readonly { readonly written: string; readonly name: string }[] | null
  readonly metrics: readonly GlueMetric[]
  readonly selectionMetric: SelectionMetric
  readonly paperMetric: GlueMetric
}

const files = (folder: string, devFile = 'dev.tsv') => ({ folder, trainFile: 'train.tsv', devFile })

const pair = (text: string, textPair: string, label: string): GlueColumns => ({ header: true, text, textPair, label })

/** Classes written as 0, 1, …, in this order. */
const numbered = (...names: readonly string[]) => names.map((name, index) => ({ written: String(index), name }))

/** Classes written by name. */
const classesByName = (...names: readonly string[]) => names.map((name) => ({ written: name, name }))

const byOne = (metric: GlueMetric) => ({ metrics: [metric], selectionMetric: metric, paperMetric: metric }) as const
const byMean = (first: GlueMetric, second: GlueMetric) =>
  ({ metrics: [first, second], selectionMetric: 'mean', paperMetric: first }) as const

export const GLUE_TASKS: Readonly<Record<GlueName, GlueTask>> = {
  cola: {
    ...files('CoLA'),
    columns: { header: false, width: 4, text: 3, label: 1 },
    labels: numbered('unacceptable', 'acceptable'),
    ...byOne('matthews'),
  },
  sst2: {
    ...files('SST-2'),
    columns: { header: true, text: 'sentence', label: 'label' },
    labels: numbered('negative', 'positive'),
    ...byOne('accuracy'),
  },
  mrpc: {
    ...files('MRPC'),
    columns: pair('#1 String', '#2 String', 'Quality'),
    labels: numbered('not_equivalent', 'equivalent'),
    ...byMean('accuracy', 'f1'),
  },
  stsb: {
    ...files('STS-B'),
    columns: pair('sentence1', 'sentence2', 'score'),
    labels: null,
    ...byMean('pearson', 'spearman'),
  },
  rte: {
    ...files('RTE'),
    columns: pair('sentence1', 'sentence2', 'label'),
    labels: classesByName('entailment', 'not_entailment'),
    ...byOne('accuracy'),
  },
  qnli: {
    ...files('QNLI'),
    columns: pair('question', 'sentence', 'label'),
    labels: classesByName('entailment', 'not_entailment'),
    ...byOne('accuracy'),
  },
  qqp: {
    ...files('QQP'),
    columns: pair('question1', 'question2', 'is_duplicate'),
    labels: numbered('not_duplicate', 'duplicate'),
    ...byMean('accuracy', 'f1'),
  },
  mnli: {
    ...files('MNLI', 'dev_matched.tsv'),
    second: { name: 'mismatched', devFile: 'dev_mismatched.tsv', split: 'validation_mismatched' },
    columns: pair('sentence1', 'sentence2', 'gold_label'),
    labels: classesByName('entailment', 'neutral', 'contradiction'),
    ...byOne('accuracy'),
  },
  wnli: {
    ...files('WNLI'),
    columns: pair('sentence1', 'sentence2', 'label'),
    labels: numbered('not_entailment', 'entailment'),
    ...byOne('accuracy'),
  },
}

export const GLUE_NAMES = Object.keys(GLUE_TASKS) as readonly GlueName[]

export const isGlueName = (task: string): task is GlueName => Object.hasOwn(GLUE_TASKS, task)
