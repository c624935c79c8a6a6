/** The tables of a run's report: cards below the figures, with their numbers as CSV. */
import { cellText, numericColumns } from '../../charts/tableText.js'
import { copyFrom } from '../../page/copy.js'
import type { BoardState, RenderedTable } from '../events.js'
import { make, onChange, textTable } from './elements.js'

export const tableList = () => {
  const element = make('div', { className: 'figures', hidden: true })
  const render = onChange((tables: ReadonlyArray<RenderedTable>) => {
    element.hidden = tables.length === 0
    element.replaceChildren(...tables.map(tableCard))
  })
  return {
    element,
    show: ({ tables }: BoardState): void => {
      if (tables !== undefined) render(tables)
    },
  }
}

const tableCard = ({ name, title, caption, table, csv }: RenderedTable): HTMLElement => {
  const rows = table.rows.map((row) => row.map(cellText))
  const shown = textTable(title, table.columns, rows)
  for (const [i, isNumeric] of numericColumns(table).entries())
    if (isNumeric) for (const row of shown.querySelectorAll('tr')) row.children[i]?.classList.add('n')
  const area = make('textarea', { readOnly: true, spellcheck: false, ariaLabel: `CSV: ${title}`, value: csv })
  const copyButton = make('button', { type: 'button', textContent: 'Copy as CSV', ariaLabel: `Copy as CSV: ${title}` })
  copyButton.addEventListener('click', () => void copyFrom(area, copyButton))
  return make(
    'section',
    { id: `table-${name}`, className: 'card whole' },
    ...[make('h2', { textContent: title }), make('p', { textContent: caption }), shown],
    ...[make('div', { className: 'buttons' }, copyButton), make('details', {}, make('summary', { textContent: 'CSV' }), area)],
  )
}
