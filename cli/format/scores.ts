/** What an evaluation says: scores, a report class by class, and which class was taken for which. */
import { oneLine } from '../../accelerated/errors/inputError.js'
import type { AdapterScore } from '../../finetuning/adapters/scoreAdapter.js'
import { counted } from './numbers.js'

/** Classes up to which the confusion matrix fits on a screen; --json has the larger ones. */
const widestMatrix = 12

export const scoreText = ({ scores, tokens, majority, positive, byClass, confusion }: AdapterScore): ReadonlyArray<string> => [
  ...Object.entries(scores).map(([name, value]) => `${name.padEnd(nameWidth(scores))}${value.toFixed(4)}`),
  ...(tokens === undefined ? [] : [`of ${counted(tokens)} tokens`]),
  ...(positive === null ? [] : [`f1 is of the class "${oneLine(positive)}"`]),
  ...(majority === null ? [] : [`always answering "${oneLine(majority.label)}" scores accuracy ${majority.share.toFixed(4)}`]),
  ...(byClass === null ? [] : ['', ...reportTable(byClass)]),
  ...(byClass === null || confusion === null || confusion.length > widestMatrix
    ? []
    : [
        '',
        ...confusionTable(
          byClass.map(({ label }) => label),
          confusion,
        ),
      ]),
]

const nameWidth = (scores: AdapterScore['scores']): number => Math.max(12, ...Object.keys(scores).map((name) => name.length + 2))

const reportTable = (byClass: NonNullable<AdapterScore['byClass']>): ReadonlyArray<string> =>
  table([
    ['class', 'precision', 'recall', 'f1', 'examples'],
    ...byClass.map(({ label, precision, recall, f1, examples }) => [
      name(label),
      ...[precision, recall, f1].map((share) => share.toFixed(4)),
      counted(examples),
    ]),
  ])

const confusionTable = (labels: ReadonlyArray<string>, confusion: NonNullable<AdapterScore['confusion']>): ReadonlyArray<string> =>
  table([['label, predicted as', ...labels.map(name)], ...confusion.map((row, i) => [name(labels[i] ?? ''), ...row.map(counted)])])

/** Of a long name what tells it from the others, mostly. */
const name = (label: string): string => (oneLine(label).length > 24 ? `${oneLine(label).slice(0, 23)}…` : oneLine(label))

/** The first column to the left, numbers to the right. */
const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0))
  return rows.map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '))
}
