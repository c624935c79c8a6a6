/** The data of a run before its first step: facts about each set, and findings. It is computed while the texts are in memory. */
import type { Examples, TokenizedExample } from '../../accelerated/models/packing.js'
import type { Dataset } from '../data/index.js'
import type { TaskData } from '../tasks/taskType.js'
import { dataFacts, lengthFacts, type DataFacts, type RowKeys } from './dataFacts.js'
import { findingsIn, overlapFindings, readerFindings, truncationFindings, type Choices, type Finding } from './findings.js'

export type DataReport = {
  readonly training: DataFacts
  readonly evaluation: DataFacts
  /** Absent without test data. */
  readonly test?: DataFacts
  readonly findings: readonly Finding[]
}

type Data = Pick<TaskData, 'evaluation' | 'labelNames' | 'taskType' | 'selectionMetric'> & {
  readonly train: Dataset
  readonly test?: Dataset
}

/** The report without lengths, which the tokens show. @param keys of the examples of each set @param isFolded whether the sets are the same rows */
export const buildDataReport = (data: Data, keys: RowKeys, choices: Pick<Choices, 'classWeights'>, isFolded = false): DataReport => {
  const { train, evaluation, test, selectionMetric } = data
  const hasScores = data.labelNames === null && data.taskType.command !== 'generate'
  const training = dataFacts(train, keys.training, hasScores)
  return {
    training,
    evaluation: dataFacts(evaluation, keys.evaluation, hasScores),
    ...(test === undefined ? {} : { test: dataFacts(test, keys.test, hasScores) }),
    findings: [
      ...readerFindings([train, ...(isFolded ? [] : [evaluation]), ...(test === undefined ? [] : [test])]),
      ...findingsIn(training, { ...choices, selectionMetric }),
      ...overlapFindings(isFolded ? { ...keys, evaluation: new BigUint64Array() } : keys),
    ],
  }
}

/** The report with the lengths of the texts as they are trained on, and warnings of those that lose a part. */
export const withLengths = (report: DataReport, training: Examples<TokenizedExample>, warnings: readonly string[]): DataReport => {
  const lengths = Int32Array.from({ length: training.length }, (_, i) => training.at(i)?.inputIds.length ?? 0)
  return {
    ...report,
    training: { ...report.training, lengths: lengthFacts(lengths, 'tokens') },
    findings: [...report.findings, ...truncationFindings(warnings)],
  }
}
