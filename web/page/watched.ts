/** Sentences that the visitor edits and the model answers, again and again while it trains. */
import { seriesColor } from '../../reporting/charts/chart.js'
import { byId, make } from './elements.js'
import type { Prediction } from './messages.js'

export type Watched = {
  /** Those that are not empty. */
  readonly texts: () => readonly string[]
  readonly setTexts: (texts: readonly string[]) => void
  /** @param classes in the order of their colors */
  readonly show: (texts: readonly string[], predictions: readonly Prediction[], classes: readonly string[]) => void
  readonly clear: () => void
}

const sentences = 3
/** Milliseconds after the last key until a text is predicted. */
const pause = 300

type Row = { readonly text: HTMLInputElement; readonly bar: HTMLElement; readonly answer: HTMLElement }

const makeRow = (number: number, edited: () => void): Row => {
  const text = make('input', '')
  text.type = 'text'
  text.placeholder = 'Type your own sentence…'
  text.setAttribute('aria-label', `Sentence ${number}`)
  const row = { text, bar: make('span', '', 'bar'), answer: make('output', '') }
  text.addEventListener('input', () => {
    clearRow(row)
    edited()
  })
  byId('sentences').append(make('li', [text, row.bar, row.answer]))
  return row
}

const clearRow = ({ bar, answer }: Row): void => {
  bar.style.setProperty('--share', '0')
  answer.textContent = ''
}

const showAnswer = ({ bar, answer }: Row, { label, score, ...rest }: Prediction, classes: readonly string[]): void => {
  const color = seriesColor(Math.max(0, classes.indexOf(label ?? '')))
  bar.style.setProperty('--share', String(score ?? 0))
  for (const element of [bar, answer]) element.style.setProperty('--color', color)
  answer.textContent = score === undefined ? JSON.stringify(rest) : `${label ?? ''} ${Math.round(100 * score)} %`
}

/** @param edited is told the texts, a moment after the last key */
export const watchedIn = (edited: (texts: readonly string[]) => void): Watched => {
  let timer = 0
  const tell = (): void => {
    clearTimeout(timer)
    timer = self.setTimeout(() => edited(texts()), pause)
  }
  const rows = Array.from({ length: sentences }, (_, i) => makeRow(i + 1, tell))
  const texts = (): readonly string[] => rows.map(({ text }) => text.value.trim()).filter((text) => text !== '')
  return {
    texts,
    setTexts: (given) => {
      rows.forEach((row, i) => {
        row.text.value = given[i] ?? ''
        clearRow(row)
      })
      edited(texts())
    },
    show: (asked, predictions, classes) => {
      for (const row of rows) {
        const prediction = predictions[asked.indexOf(row.text.value.trim())]
        if (prediction !== undefined) showAnswer(row, prediction, classes)
      }
    },
    clear: () => rows.forEach(clearRow),
  }
}
