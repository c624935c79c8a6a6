/** Findings: what in a dataset probably is a mistake or makes scores misleading, each with its remedy. */
import { quoted } from '../../accelerated/errors/inputError.js'
import { decimal, type Dataset } from '../data/dataset.js'
import { foldLabel, labelSeparator, withoutBlanks } from '../data/labels.js'
import { sharedTexts, type ClassCount, type DataFacts, type RowKeys } from './dataFacts.js'

export type Finding = {
  readonly kind: 'labels' | 'rare' | 'imbalance' | 'duplicates' | 'contradictions' | 'overlap' | 'truncation' | 'columns' | 'roles'
  /** One line: what is wrong, and then the remedy. */
  readonly message: string
  /** Whether a run warns of it. */
  readonly warns: boolean
}

/** What a run has chosen already: it needs no advice on it. */
export type Choices = {
  readonly classWeights?: string | null
  readonly selectionMetric?: string
}

/** Findings in the rows that are trained on. */
export const findingsIn = (facts: DataFacts, choices: Choices = {}): readonly Finding[] => [
  ...(facts.classes === null ? [] : classFindings(facts.classes, facts.hasLabelSets, choices)),
  ...(facts.scores === null ? [] : scoreFindings(facts.scores, facts.rows)),
  ...facts.merged.map(
    (labels): Finding => ({
      kind: 'labels',
      message: `${facts.source}: the labels ${listed(labels)} are read as one class: --labels-as-text keeps them apart`,
      warns: true,
    }),
  ),
  ...repetitionFindings(facts),
]

const scoreFindings = ({ least, most }: NonNullable<DataFacts['scores']>, rows: number): readonly Finding[] =>
  least !== most || rows === 1
    ? []
    : [{ kind: 'labels', message: `every score is ${least}, so there is nothing to learn: check the column (--label)`, warns: true }]

const counted = (n: number): string => n.toLocaleString('en-US')
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`
const some = (n: number, noun: string): string => `${counted(n)} ${noun}${n === 1 ? '' : 's'}`

/** The maximum number of names in a line. */
const mostNames = 5

const listed = (names: readonly string[]): string =>
  names
    .slice(0, mostNames)
    .map((name) => quoted(name, 40))
    .join(', ') + (names.length > mostNames ? ` and ${names.length - mostNames} more` : '')

const classFindings = (classes: readonly ClassCount[], hasLabelSets: boolean, choices: Choices): readonly Finding[] => {
  const rare = classes.filter(({ rows }) => rows === 1)
  const labels = classes.map(({ label }) => label)
  const alike = alikeLabels(labels)
  return [
    ...alike.map(
      ({ labels, differ }): Finding => ({
        kind: 'labels',
        message: `the labels ${listed(labels)} differ only in ${differ}: if they are one class, ${differ === numberForm ? 'write them alike in the file' : '--merge-labels case reads them so'}`,
        warns: true,
      }),
    ),
    ...(hasLabelSets ? [] : [...joinedFindings(labels), ...numberFindings(labels)]),
    ...(rare.length === 0
      ? []
      : [
          {
            kind: 'rare',
            message: `${rare.length === 1 ? 'one class has' : `${counted(rare.length)} classes have`} only one row (${listed(rare.map(({ label }) => label))}), so evaluation cannot test ${rare.length === 1 ? 'it' : 'them'}: add rows, or merge ${rare.length === 1 ? 'it' : 'each'} into another class`,
            warns: true,
          } as const,
        ]),
    ...(hasLabelSets ? [] : imbalance(classes, choices)), // sets of labels take no weights, and have an F1 of each class
  ]
}

/** Three classes or more whose names are numbers may be an order, such as stars. */
const numberFindings = (labels: readonly string[]): readonly Finding[] => {
  const numbers = labels.map(decimal).filter((number) => number !== null)
  return numbers.length < labels.length || labels.length < 3
    ? []
    : [
        {
          kind: 'labels',
          message: `the labels are numbers from ${Math.min(...numbers)} to ${Math.max(...numbers)}, each a class of its own: for amounts, such as stars, --problem-type regression learns their order`,
          warns: false,
        },
      ]
}

const joinedFindings = (labels: readonly string[]): readonly Finding[] =>
  [labelSeparator, ';', ','].flatMap((separator) => {
    const joined = joinedLabels(labels, separator)
    const several =
      separator === ',' ? [] : labels.filter((label) => label.split(separator).filter((part) => part.trim() !== '').length > 1)
    const areMost = 2 * several.length > labels.length
    if (joined.length === 0 && !areMost) return []
    const remedy = `${separator === labelSeparator ? '' : `write ${labelSeparator} in its place and `}use --problem-type multi-label`
    const shown = joined.length > 0 ? joined : several
    const why =
      joined.length > 0
        ? `but other labels have ${joined.length === 1 ? 'its' : 'their'} parts, too`
        : `but most labels have a "${separator}" inside`
    return {
      kind: 'labels',
      message: `${listed(shown)} ${shown.length === 1 ? 'is read as one class' : 'are read as one class each'}, ${why}: if "${separator}" separates several labels, ${remedy}`,
      warns: true,
    }
  })

/** Labels that are several others with a separator between them: other labels have each part, alone or beside others, too. */
export const joinedLabels = (labels: readonly string[], separator: string): readonly string[] => {
  const parts = labels.map((label) => [...new Set(label.split(separator).map((part) => part.trim()))])
  const uses = new Map<string, number>()
  for (const part of parts.flat()) uses.set(part, (uses.get(part) ?? 0) + 1)
  return labels.filter((_, i) => {
    const own = parts[i] ?? []
    return own.length > 1 && own.every((part) => part !== '' && (uses.get(part) ?? 0) > 1)
  })
}

type Alike = { readonly labels: readonly string[]; readonly differ: string }

/** Groups of labels that differ in case, in blanks or in the form of a number. */
export const alikeLabels = (labels: readonly string[]): readonly Alike[] => {
  const groups = new Map<string, string[]>()
  for (const label of labels) {
    const key = foldedLabel(label)
    groups.set(key, [...(groups.get(key) ?? []), label])
  }
  return [...groups.values()].filter((group) => group.length > 1).map((group) => ({ labels: group, differ: describeDifference(group) }))
}

const numberForm = 'the form of a number'

const foldedLabel = (label: string): string => {
  const number = decimal(label.trim())
  return number === null ? `text ${foldLabel(label)}` : `number ${number}`
}

const describeDifference = (group: readonly string[]): string => {
  if (group.every((label) => decimal(label.trim()) !== null)) return numberForm
  if (new Set(group.map((label) => label.toLowerCase())).size === 1) return 'case'
  return new Set(group.map(withoutBlanks)).size === 1 ? 'blanks' : 'case and blanks'
}

/** From here on, always answering the largest class looks like a good model. A run of a file counts its classes alike then. */
const largeShare = 2 / 3
/** Rows of the largest class for each of the smallest, above which classes are highly imbalanced (Fernández et al., 2008). */
const largestRatio = 9

const imbalance = (classes: readonly ClassCount[], { classWeights = null, selectionMetric }: Choices): readonly Finding[] => {
  const rows = classes.reduce((sum, one) => sum + one.rows, 0)
  const largest = classes.reduce((most, one) => (one.rows > most.rows ? one : most), { label: '', rows: 0 })
  const dominates = largest.rows / rows > largeShare
  const smallest = classes.filter((one) => one.rows > 1).reduce((least, one) => (one.rows < least.rows ? one : least), largest)
  if (rows === 0 || (!dominates && largest.rows <= largestRatio * smallest.rows)) return []
  const isAutomatic = classWeights === 'auto' && dominates
  const advice = [
    ...(classWeights === null || classWeights === 'equal' || (classWeights === 'auto' && !dominates) ? ['--class-weights balanced'] : []),
    ...(selectionMetric === undefined || selectionMetric === 'accuracy' ? ['--metric-for-best-model macroF1 (or matthews)'] : []),
  ]
  if (advice.length === 0 && !isAutomatic) return []
  const share = percent(largest.rows / rows)
  if (!dominates)
    return [
      {
        kind: 'imbalance',
        message: `${quoted(smallest.label, 40)} has ${counted(smallest.rows)} of ${counted(rows)} rows, and ${quoted(largest.label, 40)} ${counted(largest.rows)}, so accuracy hardly shows how well it is recognized: try ${advice.join(' and ')}`,
        warns: true,
      },
    ]
  return [
    {
      kind: 'imbalance',
      message: `${quoted(largest.label, 40)} has ${share} of the rows, so always answering it has accuracy ${(largest.rows / rows).toFixed(3)}: ${isAutomatic ? 'train counts the classes alike and selects by macroF1 (--class-weights equal turns this off)' : `try ${advice.join(' and ')}`}`,
      warns: true,
    },
  ]
}

/** From these shares of the rows on, a run warns. */
const [manyDuplicates, manyContradictions] = [0.1, 0.01]

const repetitionFindings = ({
  rows,
  duplicates,
  classes,
  hasLabelSets,
  contradictions: { texts, first },
}: DataFacts): readonly Finding[] => [
  ...(duplicates === 0
    ? []
    : [
        {
          kind: 'duplicates',
          message: `${some(duplicates, 'row')} (${percent(duplicates / rows)}) with the text of an earlier row: these texts count more in training`,
          warns: duplicates / rows >= manyDuplicates,
        } as const,
      ]),
  ...(texts === 0 || first === null
    ? []
    : [
        {
          kind: 'contradictions',
          message: `${some(texts, 'text')} ${texts === 1 ? 'has' : 'have'} more than one ${hasLabelSets ? 'set of labels' : 'label'}, the first in rows ${first[0]} and ${first[1]}: correct the labels${classes !== null && !hasLabelSets ? ', or use --problem-type multi-label' : ''}`,
          warns: texts / rows >= manyContradictions,
        } as const,
      ]),
]

/** Texts of a set that are also in a set before it. */
export const overlapFindings = ({ training, evaluation, test }: RowKeys): readonly Finding[] => [
  ...overlap(sharedTexts(evaluation, training), evaluation, 'evaluation texts are also trained on', '--eval-data'),
  ...overlap(sharedTexts(test, training), test, 'test texts are also trained on', '--test-data'),
  ...overlap(sharedTexts(test, evaluation), test, 'test texts also choose the step, as evaluation texts', '--test-data'),
]

const overlap = (shared: number, { length }: BigUint64Array, what: string, flag: string): readonly Finding[] =>
  shared === 0
    ? []
    : [
        {
          kind: 'overlap',
          message: `${counted(shared)} of ${counted(length)} ${what}, so their scores say little about new texts: ${flag} with other texts`,
          warns: true,
        },
      ]

/** What the readers of the sets say, each line once. */
export const readerFindings = (sets: readonly Pick<Dataset, 'notes' | 'warnings'>[]): readonly Finding[] => [
  ...distinct(sets.flatMap(({ warnings = [] }) => warnings)).map((message): Finding => ({ kind: 'roles', message, warns: true })),
  ...distinct(sets.flatMap(({ notes = [] }) => notes)).map((message): Finding => ({ kind: 'columns', message, warns: false })),
]

const distinct = (lines: readonly string[]): readonly string[] => [...new Set(lines)]

/** @param facts with lengths in tokens */
export const lengthFindings = ({ lengths, rows }: DataFacts): readonly Finding[] => {
  if (lengths === null || lengths.truncated === null || lengths.truncated.texts === 0) return []
  const { texts, maxLength } = lengths.truncated
  const longer = 8 * Math.ceil(Math.max(lengths.p99, maxLength + 1) / 8)
  return [
    {
      kind: 'truncation',
      message: `${counted(texts)} of ${counted(rows)} texts are longer than --max-length ${maxLength}: --max-length ${longer} reads 99 % of them whole`,
      warns: true,
    },
  ]
}

export const truncationFindings = (warnings: readonly string[]): readonly Finding[] =>
  warnings.map((message) => ({ kind: 'truncation', message, warns: true }))
