/** A row of a list of runs. */
import type { ListedRun } from '../events.js'
import { make, setText } from './elements.js'
import { leftText, progressOf, scoreText, showNumber, showProgress, showStatus, stepsText } from './format.js'
import { isSelected, setSelected } from './selection.js'

export type Row = { readonly element: HTMLTableRowElement; readonly show: (line: ListedRun) => void }

const numberCell = (label?: string): HTMLTableCellElement =>
  make('td', { className: 'n', ...(label === undefined ? {} : { data: { label } }) })

export const newRow = (first: ListedRun, isSelectable: boolean): Row => {
  const checkbox = isSelectable && first.id !== null ? selectionBox(first.id, first.name) : null
  const link =
    first.id === null ? make('span', { textContent: first.name }) : make('a', { href: `#/run/${first.id}`, textContent: first.name })
  const details = make('span', { className: 'why' })
  const status = make('span')
  const [progress, score, speed] = [make('td', { className: 'progress' }), numberCell(), numberCell('tokens/s')]
  const [left, loss] = [numberCell('time left'), numberCell('loss')]
  const cells = [
    make('td', { className: 'pick' }, ...(checkbox === null ? [] : [checkbox])),
    make('td', { className: 'name' }, link, details),
    make('td', {}, status),
    ...[progress, left, loss, score, speed],
  ]
  return {
    element: make('tr', {}, ...cells),
    show: (line) => {
      setText(details, detailsText(line))
      showStatus(status, line.status)
      if (checkbox !== null) checkbox.checked = isSelected(line.id ?? '')
      if (line.id === null) return
      showProgress(progress, progressOf(line), stepsText(line))
      setText(left, leftText(line.secondsLeft))
      showNumber(loss, line.loss)
      setText(score, scoreText(line.score))
      score.title = line.score === null ? '' : String(line.score.value)
      showNumber(speed, line.tokensPerSecond)
    },
  }
}

const detailsText = (line: ListedRun): string => {
  const kind = line.id === null || line.task === null || line.method === null ? '' : `${line.task}, ${line.method}`
  return [kind, line.reason ?? ''].filter((text) => text !== '').join(' · ')
}

const selectionBox = (id: string, name: string): HTMLInputElement => {
  const checkbox = make('input', { type: 'checkbox', ariaLabel: `compare ${name}` })
  checkbox.addEventListener('change', () => setSelected(id, checkbox.checked))
  return checkbox
}
