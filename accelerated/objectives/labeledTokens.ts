/** The loss of each labeled token of a decoder, −log p(label), in slices: the logits are the largest tensors of a step. */
import type { Expression } from '../graph/expression.js'
import { input, logSumExp, mul, reduceSum, reshape, slice, sub } from '../graph/operators.js'
import { selectedRows } from '../graph/selectedRows.js'
import type { CausalHead } from '../models/architecture.js'
import { rowSelection } from '../models/batchInputs.js'
import { selectionFeeds } from '../models/packing.js'
import { int32Feed, type Feeds } from '../engines/feeds.js'
import type { ModelOutput, TrainingExample } from './objective.js'

/** The target of a token without a label: those of a prompt, and the last of each text. */
export const unlabeled = -100

/** A text as a decoder learns it. */
export type LabeledText = TrainingExample & {
  /** for each token the next one, or `unlabeled` */
  readonly targets: ArrayLike<number>
}

/** Logits are computed in this many parts, one after another. */
export const slices = 4

/** The largest size of a slice, for a batch of this many tokens. */
export const labeledDimension = (tokens: number): Readonly<Record<string, number>> => ({ labeled: Math.ceil(tokens / slices) })

/**
 * The head reads the labeled tokens in slices of [labeled] rows; rows without a token fill the last slice. A loss is
 * log Σ exp(c(W h)) − c(W_label h) with the head's cap c, so only the logits have the vocabulary's width. → slice by slice [labeled]
 */
export const tokenLosses = (head: CausalHead, { hidden, host }: ModelOutput): readonly Expression[] =>
  toSlices(selectedRows(hidden, rowSelection(`${slices}*labeled`))).map((rows, i) => {
    const labels = input(`labels${i}`, ['labeled'], 'int32')
    const ofLabels = reduceSum(mul(rows, host.wordRows(head.words, labels)), [-1])
    return sub(logSumExp(head.outputs(rows, host)), head.toLogits?.(ofLabels) ?? ofLabels)
  })

/** rows: [slices · labeled, hidden] → slices of [labeled, hidden] */
const toSlices = (rows: Expression): readonly Expression[] => {
  const [, hidden = 1] = rows.shape
  const parts = reshape(rows, [slices, 'labeled', hidden])
  return Array.from({ length: slices }, (_, i) => reshape(slice(parts, 0, i, 1), ['labeled', hidden]))
}

type LabeledRow = { readonly text: number; readonly token: number; readonly label: number }

/** Counted from a text's last token, since virtual tokens may precede the text. */
export const labeledRows = (texts: readonly LabeledText[], lastTokens: readonly number[]): readonly LabeledRow[] =>
  texts.flatMap(({ targets }, text) =>
    Array.from(targets).flatMap((label, i) =>
      label === unlabeled ? [] : [{ text, token: (lastTokens[text] ?? 0) + 1 - targets.length + i, label }],
    ),
  )

/** The feeds of the slices. @param more further feeds of slice i, of its rows and its size */
export const labeledFeeds = (
  rows: readonly LabeledRow[],
  tokens: number,
  more: (i: number, part: readonly LabeledRow[], size: number) => Feeds,
): Feeds => {
  const size = Math.max(1, Math.ceil(rows.length / slices))
  const feeds = Array.from({ length: slices }, (_, i): Feeds => {
    const part = rows.slice(i * size, (i + 1) * size)
    const labels = Int32Array.from({ length: size }, (__, j) => part[j]?.label ?? 0)
    return { [`labels${i}`]: int32Feed(labels), ...more(i, part, size) }
  })
  const places = rows.map(({ token }) => token)
  return Object.assign({}, selectionFeeds(places, tokens, '', slices * size), ...feeds) as Feeds
}
