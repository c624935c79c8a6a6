/** An evaluation as text: scores, precision, recall and F1 by class, and the confusion matrix. */
import { oneLine } from '../../accelerated/errors/inputError.js'
import type { AdapterScore } from '../../finetuning/adapters/scoreAdapter.js'
import { counted } from './numbers.js'
import { alignedTable } from './table.js'

/** Classes whose confusion matrix fits on a screen; --json has larger ones. */
const widestMatrix = 12

export const scoreLines = ({ scores, tokens, majority, positive, byClass, confusion }: AdapterScore): ReadonlyArray<string> => [
  ...Object.entries(scores).map(([name, value]) => `${name.padEnd(nameWidth(scores))}${value.toFixed(4)}`),
  ...(tokens === undefined ? [] : [`tokens      ${counted(tokens)}`]),
  ...(positive === null ? [] : [`f1 is for the class "${oneLine(positive)}"`]),
  ...(majority === null ? [] : [`always predicting "${oneLine(majority.label)}" has accuracy ${majority.share.toFixed(4)}`]),
  ...(byClass === null ? [] : ['', ...classTable(byClass, confusion)]),
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

/** A class that is neither labeled nor predicted has no F1, and macroF1 leaves it out. */
const classTable = (byClass: NonNullable<AdapterScore['byClass']>, confusion: AdapterScore['confusion']): ReadonlyArray<string> =>
  alignedTable([
    ['class', 'precision', 'recall', 'f1', 'examples'],
    ...byClass.map(({ label, precision, recall, f1, examples }, i) => [
      name(label),
      ...[precision, recall, f1].map((share) => (isAbsent(examples, confusion, i) ? '–' : share.toFixed(4))),
      counted(examples),
    ]),
  ])

const isAbsent = (examples: number, confusion: AdapterScore['confusion'], at: number): boolean =>
  examples === 0 && confusion?.every((row) => row[at] === 0) === true

const confusionTable = (labels: ReadonlyArray<string>, confusion: NonNullable<AdapterScore['confusion']>): ReadonlyArray<string> =>
  alignedTable([['label, predicted as', ...labels.map(name)], ...confusion.map((row, i) => [name(labels[i] ?? ''), ...row.map(counted)])])

/** At most 24 characters of a name. */
const name = (label: string): string => (oneLine(label).length > 24 ? `${oneLine(label).slice(0, 23)}…` : oneLine(label))
