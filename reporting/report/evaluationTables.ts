/** What the model answered: scores by class and the worst errors of the kept checkpoint, and samples after each evaluation. */
import { csvTable, type Cell } from '../../evaluation/tables/tableText.js'
import type { EvaluatedRun } from '../figures/heatMaps.js'
import { textLimit, type ErrorText } from '../../finetuning/run/evaluationDetails.js'
import { isTag, parseEntities } from '../../finetuning/tasks/tokenClassification/metrics.js'
import type { SampledStep } from '../runs/runCurves.js'
import { escapeLines, escapeText, escapeTextTo } from '../text/html.js'
import { percentText, plural } from '../text/units.js'
import { taggedText, type ReportTable, type TextPiece } from './sections.js'

export const evaluationTables = (runs: readonly EvaluatedRun[]): readonly ReportTable[] => [...classTable(runs), ...errorTable(runs)]

/** Columns that name the run, if there are several. */
const runColumns = (runs: readonly EvaluatedRun[]) => {
  const isShown = runs.length > 1
  return {
    columns: isShown ? ['task', 'run'] : [],
    cells: ({ task, name }: EvaluatedRun): readonly Cell[] => (isShown ? [task, escapeText(name)] : []),
  }
}

const describeCheckpoint = (runs: readonly EvaluatedRun[]): string => {
  const [run] = runs
  return run === undefined || runs.length > 1
    ? 'the kept checkpoints'
    : `step ${run.details.step} of ${escapeText(run.name)}, the kept checkpoint`
}

const classTable = (runs: readonly EvaluatedRun[]): readonly ReportTable[] => {
  const context = runColumns(runs)
  const rows = runs.flatMap((run) => (run.details.byClass ?? []).map((report) => ({ run, ...report })))
  if (rows.length === 0) return []
  const columns = [...context.columns, 'class', 'precision', 'recall', 'F1', 'examples']
  const share = (value: number | null): Cell => (value === null ? null : percentText(value))
  const formatRows = (show: (value: number | null) => Cell): readonly (readonly Cell[])[] =>
    rows.map(({ run, label, precision, recall, f1, examples }) => [
      ...[...context.cells(run), escapeText(label), show(precision), show(recall), show(f1)],
      examples,
    ])
  return [
    {
      name: 'classes',
      title: 'Scores by class',
      caption: `On the evaluation examples, at ${describeCheckpoint(runs)}.`,
      table: { columns, rows: formatRows(share) },
      csv: csvTable({ columns, rows: formatRows((value) => value) }),
    },
  ]
}

/** A piece keeps the line breaks and blanks at its ends. */
const escapePiece = (text: string): string =>
  text
    .split(/\r\n?|\n/)
    .map(escapeTextTo(textLimit))
    .join('\n')

/** The pieces of a text whose tags mark its words; null if they do not fit. Whatever evaluation.json says, no place leaves the text. */
const piecesIn = (text: string, words: readonly number[], tagText: string): readonly TextPiece[] | null => {
  const tags = tagText.split(' ')
  const count = words.length / 2
  if (!Number.isInteger(count) || tags.length < count || !tags.slice(0, count).every(isTag)) return null
  const pieces: TextPiece[] = []
  let at = 0
  const take = (to: number, entity: TextPiece['entity']): void => {
    const end = Math.min(to, text.length)
    if (end > at) pieces.push({ text: escapePiece(text.slice(at, end)), entity })
    at = Math.max(at, end)
  }
  for (const { type, start, end } of parseEntities(tags.slice(0, count))) {
    take(words[2 * start] ?? 0, null)
    take(words[2 * end - 1] ?? 0, { type: escapeText(type === '_' ? 'entity' : type) })
  }
  take(text.length, null)
  return pieces
}

/** Two copies of the text of an error, with the labeled and with the predicted entities; null for an error without words. */
const markedCopies = ({ text, words, label, predicted }: ErrorText): readonly (readonly TextPiece[])[] | null => {
  const copies = text === undefined || words === undefined ? [] : [label, predicted].flatMap((tags) => [piecesIn(text, words, tags) ?? []])
  return copies.length < 2 || copies.some(({ length }) => length === 0) ? null : copies
}

const errorTable = (runs: readonly EvaluatedRun[]): readonly ReportTable[] => {
  const context = runColumns(runs)
  const errors = runs.flatMap((run) => run.details.errors.map((error) => ({ run, ...error })))
  if (errors.length === 0) return []
  const issues = errors.filter(({ labelIssue }) => labelIssue === true).length
  const suspicion = (cell: Cell): readonly Cell[] => (issues === 0 ? [] : [cell])
  const columns = [...context.columns, 'row', 'loss', 'label', ...(issues === 0 ? [] : ['suspicion']), 'prediction', 'text']
  const formatText = ({ text, textPair }: (typeof errors)[number]): string =>
    text === undefined ? '' : escapeLines(textPair === undefined ? text : `${text} | ${textPair}`)
  const copies = errors.map(markedCopies)
  const pieces = copies.flatMap((both) => (both ?? []).flat())
  const types = [...new Set(pieces.flatMap(({ entity }) => entity?.type ?? []))].sort()
  const answer = (tags: string, marked: readonly TextPiece[] | undefined): Cell =>
    marked === undefined ? escapeText(tags) : { html: taggedText(marked, types).html, text: escapeText(tags) }
  const rows = errors.map((error, i): readonly Cell[] => {
    const { run, row, loss, label, predicted } = error
    const [labeled, answered] = copies[i] ?? []
    const doubt = suspicion(error.labelIssue === true ? 'this label may be wrong' : '')
    return [
      ...[...context.cells(run), row, Number(loss.toPrecision(3)), answer(label, labeled), ...doubt],
      ...[answer(predicted, answered), formatText(error)],
    ]
  })
  const full = { columns, rows }
  // the marked copies are the text
  const shown = copies.includes(null) ? full : { columns: columns.slice(0, -1), rows: rows.map((row) => row.slice(0, -1)) }
  return [
    {
      name: 'errors',
      title: 'Worst errors',
      caption:
        `The evaluation examples with the largest loss, at ${describeCheckpoint(runs)}. The texts are those of evaluation.json in the run's folder.` +
        (issues === 0
          ? ''
          : ` Of these, ${plural(issues, 'label')} may be wrong: the model is as sure of another class as it is of that class's rows on the average (confident learning).`),
      table: shown,
      csv: csvTable(full),
    },
  ]
}

export type SampledRun = { readonly task: string; readonly name: string; readonly samples: readonly SampledStep[] }

/** A text of a prompt, from one evaluation to another. */
type Row = { readonly run: SampledRun; readonly prompt: string; readonly from: number; readonly to: number; readonly text: string }

export const samplesTables = (runs: readonly SampledRun[]): readonly ReportTable[] => {
  const every = runs.flatMap(listRows)
  if (every.length === 0) return []
  const several = new Set(every.map(({ run }) => run)).size > 1
  const columns = [...(several ? ['task', 'run'] : []), 'prompt', 'step', 'text']
  const cells = (rows: readonly Row[], formatPrompt: (row: Row, i: number) => Cell): readonly (readonly Cell[])[] =>
    rows.map((row, i) => [
      ...(several ? [row.run.task, escapeText(row.run.name)] : []),
      ...[formatPrompt(row, i), row.from === row.to ? row.from : `${row.from} – ${row.to}`, row.text === '' ? '(nothing)' : row.text],
    ])
  const rows = merged(every)
  return [
    {
      name: 'samples',
      title: 'Samples',
      caption: 'What the model wrote after each evaluation, with the parameters of that step. Steps with the same text share a row.',
      table: { columns, rows: cells(rows, (row, i) => (isSamePrompt(rows[i - 1], row) ? '' : row.prompt)) },
      csv: csvTable({ columns, rows: cells(every, ({ prompt }) => prompt) }),
    },
  ]
}

/** By prompt, in the order of the newest evaluation, and within a prompt by step. */
const listRows = (run: SampledRun): readonly Row[] => {
  const prompts = run.samples.at(-1)?.samples.map(({ prompt }) => prompt) ?? []
  return [...new Set(prompts)].flatMap((prompt) =>
    run.samples.flatMap(({ step, samples }) =>
      samples.filter((sample) => sample.prompt === prompt).map(({ text }) => ({ run, prompt, from: step, to: step, text })),
    ),
  )
}

const isSamePrompt = (a: Row | undefined, b: Row): boolean => a?.run === b.run && a.prompt === b.prompt

const merged = (rows: readonly Row[]): readonly Row[] => {
  const all: Row[] = []
  for (const row of rows) {
    const last = all.at(-1)
    if (last !== undefined && isSamePrompt(last, row) && last.text === row.text) all[all.length - 1] = { ...last, to: row.to }
    else all.push(row)
  }
  return all
}
