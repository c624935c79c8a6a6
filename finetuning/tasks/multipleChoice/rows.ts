/** Reads multiple choice: a question, its answers, and which of them is right, as ARC and MMLU have them on the hub. */
import { alternatives } from '../../../accelerated/errors/nearest.js'
import { inputError, quoted, formatValue } from '../../../accelerated/errors/inputError.js'
import { parseExact } from '../../../accelerated/storage/json.js'
import type { Cell } from '../../data/rows.js'
import type { RequestedColumn } from '../../data/table.js'
import { exampleStore } from '../../data/compactExamples.js'
import { type Dataset, type Example, atRow } from '../../data/dataset.js'
import { makeObjectReader } from '../../data/formats.js'

const fields = ['question', 'choices', 'answer', 'answerKey'] as const

/** Every value is taken as its JSON text. */
export const choiceColumns: readonly RequestedColumn[] = fields.map((name) => ({ name, optional: true, json: true }))

/** right: the index of the right choice */
export type ChoiceRow = { readonly question: string; readonly choices: readonly string[]; readonly right: number }

/** Answers to one question. */
export const mostChoices = 100

const expected = 'a row with "question", "choices", and "answer" or "answerKey"'

/** @throws InputError for the first thing wrong in the row */
export const parseChoice = (cells: readonly Cell[], where: string): ChoiceRow => {
  const [question, choices, ...answers] = cells.map((cell) => (cell == null ? undefined : parseExact(cell, where)))
  const [answer] = answers.filter((value) => value !== undefined)
  for (const [name, value] of Object.entries({ question, choices, answer }))
    if (value === undefined) throw inputError(where, expected, `one without ${quoted(name)}`)
  if (typeof question !== 'string' || question.trim() === '')
    throw inputError(where, 'a text as "question"', typeof question === 'string' ? 'an empty one' : formatValue(question))
  const { texts, labels } = textsIn(choices, where)
  return { question, choices: texts, right: parseAnswer(answer, labels, texts.length, where) }
}

type Choices = { readonly texts: readonly string[]; readonly labels: readonly string[] | null }

/** `choices` is a list of texts, or lists of texts and labels beside each other. */
const textsIn = (choices: unknown, where: string): Choices => {
  const { text, label } = (Array.isArray(choices) ? { text: choices } : typeof choices === 'object' ? choices : {}) as {
    readonly text?: unknown
    readonly label?: unknown
  }
  const texts = Array.isArray(text)
    ? text.map((one: unknown) => (typeof one === 'number' || typeof one === 'bigint' ? String(one) : one))
    : []
  if (texts.length < 2 || texts.length > mostChoices || !texts.every((one) => typeof one === 'string'))
    throw inputError(where, `"choices" of 2 to ${mostChoices} texts, or {"text": [], "label": []}`, formatValue(choices))
  if (texts.some((one) => one.trim() === '')) throw inputError(where, 'a text in each of "choices"', 'an empty one')
  if (label === undefined || label === null) return { texts, labels: null }
  if (!Array.isArray(label) || label.length !== texts.length)
    throw inputError(where, `a label for each of ${texts.length} choices`, formatValue(label))
  return { texts, labels: label.map(String) }
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** The answer as a label, an index from 0, or a letter. */
const parseAnswer = (answer: unknown, labels: readonly string[] | null, count: number, where: string): number => {
  const name = typeof answer === 'string' ? answer.trim() : typeof answer === 'number' ? String(answer) : ''
  const index =
    labels !== null
      ? labels.indexOf(name)
      : /^\d+$/.test(name)
        ? Number(name)
        : name.length === 1
          ? letters.indexOf(name.toUpperCase())
          : -1
  if (index >= 0 && index < count) return index
  const range =
    count <= letters.length
      ? `an index from 0 to ${count - 1}, or a letter from A to ${letters[count - 1]}`
      : `an index from 0 to ${count - 1}`
  throw inputError(where, `as answer ${labels === null ? range : `one of the labels ${alternatives(labels)}`}`, formatValue(answer))
}

export type ChoiceText = Pick<ChoiceRow, 'question' | 'choices'>

/** The text that an example stores as JSON. */
export const choiceText = (json: string): ChoiceText => JSON.parse(json) as ChoiceText

/** @throws InputError for the first thing wrong in the file */
export const readChoices = async (file: string, { encoding }: { readonly encoding?: string } = {}): Promise<Dataset> => {
  const read = makeObjectReader(file, 'questions with choices', encoding)
  const store = exampleStore()
  const examples: Example[] = []
  await read(choiceColumns, (row: number, cells: readonly Cell[]) => {
    const { question, choices, right } = parseChoice(cells, atRow(file, row))
    examples.push(store({ text: JSON.stringify({ question, choices } satisfies ChoiceText), label: right, row }))
  })
  if (examples.length === 0) throw inputError(file, 'at least one question with choices', 'none')
  return { source: file, examples, labelNames: null, skipped: [] }
}
