/** A field to try a sentence: the board classifies it with the run's adapter. */
import { percentText } from '../../charts/humanUnits.js'
import type { RunView, SentenceAnswer } from '../events.js'
import { request } from './connection.js'
import { make, setText } from './elements.js'
import { numberText } from './format.js'

/** Maximum number of classes in an answer. */
const shownClasses = 8

export const sentenceField = (id: string) => {
  const text = make('input', { type: 'text', autocomplete: 'off', required: true, maxLength: 5000, placeholder: 'The food was superb.' })
  const pair = make('input', { type: 'text', autocomplete: 'off', maxLength: 5000 })
  const pairLabel = make('label', { textContent: 'Second text', hidden: true }, pair)
  const button = make('button', { type: 'submit', textContent: 'Try it' })
  const answer = make('div', { className: 'answer', role: 'status' })
  const form = make('form', { className: 'bar' }, make('label', { textContent: 'Try a sentence' }, text), pairLabel, button)
  const element = make('section', { className: 'card sentence', hidden: true }, form, answer)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (button.disabled) return
    button.disabled = true
    setText(answer, 'The model answers … (the first answer opens it)')
    void ask(id, text.value, pairLabel.hidden ? undefined : pair.value).then((received) => {
      button.disabled = false
      show(answer, received)
    })
  })
  return {
    element,
    show: ({ sentence }: RunView): void => {
      element.hidden = sentence === null
      pairLabel.hidden = sentence !== 'pair'
    },
  }
}

const ask = async (id: string, text: string, textPair: string | undefined): Promise<SentenceAnswer> => {
  try {
    const body = JSON.stringify({ id, text, ...(textPair === undefined ? {} : { textPair }) })
    const response = await request('predict', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
    return (await response.json()) as SentenceAnswer
  } catch {
    return { message: 'The connection to the board is lost.' }
  }
}

/** The answer, and a bar for each class. Texts are only ever set as text. */
const show = (element: HTMLElement, { message, prediction }: SentenceAnswer): void => {
  if (prediction === undefined) {
    setText(element, message)
    return
  }
  const { label, labels, value, scores = {} } = prediction
  const said = label ?? (labels === undefined ? numberText(value) : labels.join(', ') || 'none')
  const classes = Object.entries(scores)
    .sort(([, a], [, b]) => b - a)
    .slice(0, shownClasses)
  element.replaceChildren(make('strong', { textContent: said }), ...classes.map(([name, score]) => classBar(name, score)))
}

const classBar = (name: string, score: number): HTMLElement => {
  const filled = make('span')
  filled.style.width = percentText(score).replace(' ', '')
  const bar = make('span', { className: 'bar-of' }, filled)
  return make('div', { className: 'class' }, make('span', { textContent: name }), bar, make('span', { textContent: percentText(score) }))
}
