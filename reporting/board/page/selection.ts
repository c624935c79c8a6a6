/** The runs that the reader has selected for a comparison, in all lists of the page. */
import { compareLimit } from '../events.js'
import { make, setText } from './elements.js'

const selected = new Set<string>()
let onChange: () => void = () => undefined

export const isSelected = (id: string): boolean => selected.has(id)

export const setSelected = (id: string, isNowSelected: boolean): void => {
  if (isNowSelected) selected.add(id)
  else selected.delete(id)
  onChange()
}

/** The button that compares the selected runs. */
export const compareButton = (): HTMLButtonElement => {
  const button = make('button', { type: 'button' })
  button.addEventListener('click', () => {
    location.hash = `#/compare/${[...selected].join(',')}`
  })
  onChange = () => {
    setText(button, selected.size === 0 ? 'Compare runs' : `Compare ${selected.size} runs`)
    button.disabled = selected.size < 2 || selected.size > compareLimit
    button.title = selected.size > compareLimit ? `Select at most ${compareLimit} runs.` : 'Select at least two runs.'
  }
  onChange()
  return button
}
