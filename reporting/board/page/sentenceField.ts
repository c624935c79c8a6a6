/** A field to try a sentence, or a pair: the board answers it with the run's adapter. */
import { percentText } from '../../charts/humanUnits.js'
import type { RunView, SentenceAnswer } from '../events.js'
import { shownAnswer, type ShownAnswer } from '../sentenceAnswer.js'
import { request } from './connection.js'
import { make, setText } from './elements.js'

export const sentenceField = (id: string) => {
  const text = make('input', { type: 'text', autocomplete: 'off', required: true, maxLength: 5000, placeholder: 'The food was superb.' })
  const pair = make('input', { type: 'text', autocomplete: 'off', maxLength: 5000 })
  const pairLabel = make('label', { textContent: 'Second text', hidden: true }, pair)
  const button = make('button', { type: 'submit', textContent: 'Try it' })
  const answer = make('div', { className: 'answer', role: 'status' })
  const form = make('form', { className: 'bar' }, make('label', { textContent: 'Try a sentence' }, text), pairLabel, button)
  const obstacle = make('p', { className: 'quiet', hidden: true })
  const element = make('section', { className: 'card sentence', hidden: true }, form, answer, obstacle)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (button.disabled) return
    button.disabled = true
    setText(answer, 'The model answers … (the first answer opens it)')
    const asked = text.value.trim() // as the board reads it
    void ask(id, asked, pairLabel.hidden ? undefined : pair.value).then((received) => {
      button.disabled = false
      show(answer, asked, received)
    })
  })
  return {
    element,
    show: ({ sentence, sentenceObstacle }: RunView): void => {
      element.hidden = sentence === null && sentenceObstacle === null
      form.hidden = sentence === null
      pairLabel.hidden = sentence !== 'pair'
      pair.required = sentence === 'pair'
      obstacle.hidden = sentenceObstacle === null
      setText(obstacle, sentenceObstacle ?? '')
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

/** The answer, a bar for each class, and entities within the text. Texts are only ever set as text. */
const show = (element: HTMLElement, text: string, { message, prediction }: SentenceAnswer): void => {
  if (prediction === undefined) {
    setText(element, message)
    return
  }
  const { headline, classes, parts } = shownAnswer(text, prediction)
  element.replaceChildren(
    ...(headline === null ? [] : [make('strong', { textContent: headline || 'none' })]),
    ...classes.map(([name, score]) => classBar(name, score)),
    ...(parts.length === 0 ? [] : [make('p', { className: 'tagged' }, ...parts.map(partOf))]),
  )
}

const partOf = ({ text, entity }: ShownAnswer['parts'][number]): Node | string =>
  entity === null ? text : make('mark', { title: percentText(entity.score) }, text, make('small', { textContent: ` ${entity.type}` }))

const classBar = (name: string, score: number): HTMLElement => {
  const filled = make('span')
  filled.style.width = percentText(score).replace(' ', '')
  const bar = make('span', { className: 'bar-of' }, filled)
  return make('div', { className: 'class' }, make('span', { textContent: name }), bar, make('span', { textContent: percentText(score) }))
}
