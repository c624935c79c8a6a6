/** Facts and findings about data as text: in short before a run, in full for salora inspect. */
import { oneLine, quoted } from '../../accelerated/errors/inputError.js'
import type { ClassCount, DataFacts, LengthFacts, TruncationFacts } from '../../finetuning/inspection/dataFacts.js'
import type { ShownExample, ShownToken } from '../../finetuning/inspection/previewExamples.js'
import type { DataReport } from '../../finetuning/inspection/dataReport.js'
import type { RunLabels } from '../../finetuning/use/runLabels.js'
import { counted, percent, plural, short } from './numbers.js'
import { alignedTable } from '../../evaluation/tables/tableText.js'
import { styleText } from 'node:util'

/** Classes in a line, the largest first. */
const mostInLine = 5

/** At most three lines, printed before a run. */
export const reportLines = ({ training, findings }: Pick<DataReport, 'training' | 'findings'>): readonly string[] => [
  ...findings.filter(({ kind }) => kind === 'columns').map(({ message }) => message),
  `data: ${[...classesText(training), ...lengthsText(training.lengths)].join('; ')}`,
]

/** The largest classes or types with their counts. */
const largestText = (classes: readonly ClassCount[]): string =>
  `${[...classes]
    .sort((a, b) => b.rows - a.rows)
    .slice(0, mostInLine)
    .map(({ label, rows: count }) => `${quoted(oneLine(label), 30)} ${counted(count)}`)
    .join(', ')}${classes.length > mostInLine ? ', …' : ''}`

const countRows = (counts: readonly ClassCount[]): number => counts.reduce((sum, { rows }) => sum + rows, 0)

const entitiesText = (entities: readonly ClassCount[]): string =>
  `${counted(countRows(entities))} ${countRows(entities) === 1 ? 'entity' : 'entities'} (${largestText(entities)})`

const classesText = ({ classes, entities, scores, rows, duplicates, contradictions }: DataFacts): readonly string[] => [
  ...(classes === null ? [plural(rows, 'training row')] : [`${counted(classes.length)} classes (${largestText(classes)})`]),
  ...(entities === null ? [] : [entitiesText(entities)]),
  ...(scores === null ? [] : [scoresText(scores)]),
  ...(duplicates === 0 ? [] : [plural(duplicates, 'duplicate')]),
  ...(contradictions.texts === 0 ? [] : [`${plural(contradictions.texts, 'text')} with more than one label`]),
]

const scoresText = ({ least, median, most }: NonNullable<DataFacts['scores']>): string =>
  `scores from ${short(least)} to ${short(most)}, median ${short(median)}`

const lengthsText = (lengths: LengthFacts | null): readonly string[] =>
  lengths === null
    ? []
    : [`${lengths.unit} per text: median ${counted(lengths.p50)}, 95th percentile ${counted(lengths.p95)}, max ${counted(lengths.longest)}`]

/** Classes in the table of salora inspect; --json has all. */
const mostInTable = 30

export type Inspected = {
  readonly sets: readonly DataFacts[]
  readonly findings: DataReport['findings']
  readonly examples: readonly ShownExample[]
}

/** All facts of each set, then the examples and all findings. */
export const inspectionText = ({ sets, findings, examples }: Inspected, { color }: { readonly color: boolean }): string =>
  [
    ...sets.flatMap((facts) => [...factLines(facts), '']),
    ...exampleLines(examples, { color }),
    ...(findings.length === 0 ? ['nothing suspicious found'] : findings.map(({ message, warns }) => `${warns ? '! ' : '- '}${message}`)),
  ].join('\n')

/** Rows of a run whose labels are probably wrong. */
export const runLabelsText = ({ run, step, evalData, errors, issues }: RunLabels): string => {
  const rows = `${evalData === null ? 'held out' : `of ${oneLine(evalData)}`}, at step ${counted(step)} of ${oneLine(run)}`
  if (issues.length === 0) return `no label looks wrong among the ${plural(errors, 'worst error')} on the rows ${rows}`
  return [
    `these labels may be wrong (rows ${rows}):`,
    ...alignedTable(
      [
        ['row', 'label', 'prediction', 'loss', 'text'],
        ...issues.map(({ row, label, predicted, loss, text = '', textPair }) => [
          ...[String(row), ...[label, predicted].map((name) => quoted(oneLine(name), 30)), loss.toFixed(2)],
          quoted(oneLine((textPair === undefined ? text : `${text} | ${textPair}`).replaceAll(/\s+/g, ' ')), 60),
        ]),
      ],
      { left: [1, 2, 4] },
    ),
    'the model is as sure of another class as it is of that class on the average of its rows (confident learning): look at them',
  ].join('\n')
}

const factLines = (facts: DataFacts): readonly string[] => {
  const { source, rows, files, skipped, classes, entities, scores, duplicates, contradictions, lengths } = facts
  return [
    oneLine(source),
    `rows        ${counted(rows)}${skipped === 0 ? '' : ` (${counted(skipped)} skipped)`}`,
    ...(files === null ? [] : fileLines(files)),
    ...(classes === null ? [] : classLines('classes', classes, rows)),
    ...(entities === null ? [] : classLines('entities', entities, countRows(entities))),
    ...(scores === null ? [] : [`labels      ${scoresText(scores)}`]),
    `texts       ${plural(duplicates, 'duplicate')}, ${counted(contradictions.texts)} with more than one label`,
    ...(lengths === null ? [] : lengthLines(lengths)),
  ]
}

/** Rows of each file, and those of an epoch where these are others. */
const fileLines = (files: NonNullable<DataFacts['files']>): readonly string[] =>
  alignedTable(
    files.map(({ source, rows, drawn }) => [oneLine(source), counted(rows), ...(drawn === rows ? [] : [`${counted(drawn)} in an epoch`])]),
  ).map((line) => `  ${line}`)

/** @param rows the total that shares are of */
const classLines = (title: 'classes' | 'entities', classes: readonly ClassCount[], rows: number): readonly string[] => {
  const shown = classes.length > mostInTable ? [...classes].sort((a, b) => b.rows - a.rows).slice(0, mostInTable) : classes
  const lines = alignedTable(
    shown.map(({ label, rows: count }) => [quoted(oneLine(label), 40), counted(count), percent(rows === 0 ? 0 : count / rows)]),
  )
  const more = classes.length - shown.length
  return [
    title === 'classes' ? `classes     ${counted(classes.length)}` : `entities    ${counted(rows)} of ${plural(classes.length, 'type')}`,
    ...lines.map((line) => `  ${line}`),
    ...(more === 0 ? [] : [`  and ${counted(more)} smaller ones (--json has all)`]),
  ]
}

const lengthLines = ({ unit, p50, p90, p95, p99, longest, truncated }: LengthFacts): readonly string[] => [
  `${unit.padEnd(12)}median ${counted(p50)}, percentiles: 90th ${counted(p90)}, 95th ${counted(p95)}, 99th ${counted(p99)}, max ${counted(longest)}${unit === 'words' ? ' (--model counts tokens)' : ''}`,
  ...(truncated === null
    ? []
    : [`truncated   ${counted(truncated.texts)} texts by --max-length ${truncated.maxLength}${exchangesText(truncated)}`]),
]

const exchangesText = ({ texts, wholeExchanges = 0 }: TruncationFacts): string =>
  wholeExchanges === 0 ? '' : `; ${counted(wholeExchanges)} lose whole exchanges, ${counted(texts - wholeExchanges)} lose tokens`

/** Examples token by token: learned tokens are green, or in ⟦brackets⟧ where there is no color. Untrusted characters are escaped. */
type Color = { readonly color: boolean }

/** Tokens of an example, and characters of a token; --json has more tokens. */
const [mostTokens, longestToken] = [256, 100]

export const exampleLines = (examples: readonly ShownExample[], { color }: Color): readonly string[] =>
  examples.length === 0
    ? []
    : [
        `examples    learned tokens are ${color ? style('green', 'green') : 'in ⟦⟧'}; · separates tokens`,
        ...examples.flatMap((example) => [formatTitle(example), `  ${tokensText(example, color)}`]),
        '',
      ]

const formatTitle = ({ row, length, learned, cuts }: ShownExample): string => {
  const lost = cuts.reduce((sum, { tokens }) => sum + tokens, 0)
  return `  row ${row}: ${plural(length, 'token')}, ${counted(learned)} learned${lost === 0 ? '' : `; truncation drops ${counted(lost)} of ${counted(length + lost)}`}`
}

const style = (name: 'green' | 'yellow' | 'gray', text: string): string => styleText(name, text, { validateStream: false })

const tokensText = ({ tokens, length, cuts }: ShownExample, color: boolean): string => {
  const shown = tokens.slice(0, mostTokens)
  const note = (text: string): string => (color ? style('yellow', `‹${text}›`) : `‹${text}›`)
  const cutBefore = (at: number): string =>
    cuts
      .filter((cut) => cut.at === at)
      .map(({ tokens: lost, exchanges }) =>
        note(`${exchanges === undefined ? '' : `${plural(exchanges, 'exchange')} of `}${plural(lost, 'token')} dropped`),
      )
      .join('')
  const separator = color ? style('gray', '·') : '·'
  let text = ''
  for (const [i, token] of shown.entries()) {
    const [isFirst, isLast] = [shown[i - 1]?.learned !== true, shown[i + 1]?.learned !== true]
    const cut = cutBefore(i)
    // a mark of its own for each run of learned tokens, on both sides of a cut
    const opens = token.learned && (isFirst || cut !== '')
    const closes = token.learned && (isLast || cutBefore(i + 1) !== '')
    text += `${cut}${i > 0 && cut === '' ? separator : ''}${color ? colored(token) : `${opens ? '⟦' : ''}${visible(token.text)}${closes ? '⟧' : ''}`}`
  }
  const rest = length - shown.length
  return (text + (rest > 0 ? note(`and ${plural(rest, 'more token')}`) : cutBefore(length))).replaceAll('\n', '\n  ')
}

const colored = ({ text, learned }: ShownToken): string =>
  learned
    ? visible(text)
        .split('\n')
        .map((line) => (line === '' ? '' : style('green', line)))
        .join('\n')
    : visible(text)

/** What the terminal would obey or not show, and the marks of this view. */
const untrusted = /[\p{C}\p{Zl}\p{Zp}⟦⟧‹›·]/gu

/** A line break is shown and kept. Controls, format characters (such as those of bidirectional text) and the view's own marks are escaped. */
const visible = (text: string): string => {
  const characters = Array.from(text.slice(0, 2 * longestToken))
  const cut = characters.slice(0, longestToken).join('')
  const escaped = cut.replace(untrusted, (character) =>
    character === '\n' ? '↵\n' : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  )
  return escaped + (cut.length < text.length ? '…' : '')
}
