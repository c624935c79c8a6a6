/** One sweep: its progress, its table so far, and its runs. */
import type { BoardState, TextTable } from '../../events.js'
import { boardStatus } from '../boardStatus.js'
import { allRunsLink, elementById, make, onChange, setText, textTable } from '../elements.js'
import { runList } from '../runList.js'
import { newSweepRow, sweepTable } from '../sweepRow.js'

export const sweepView = (): ((state: BoardState) => void) => {
  const board = boardStatus()
  const title = make('h2')
  const name = make('span')
  const row = newSweepRow(name)
  const table = make('section')
  const list = runList(true)
  elementById('main').replaceChildren(
    ...[board.problem, allRunsLink(), title, sweepTable(make('tbody', {}, row.element)), table],
    make('section', {}, make('h2', { textContent: 'Runs' }), list.element),
    board.queue,
  )
  const showTable = onChange((shown: TextTable | null) => {
    if (shown === null) return table.replaceChildren()
    const label = 'Table so far'
    table.replaceChildren(
      make('h2', { textContent: label }),
      make('p', { textContent: shown.caption }),
      textTable(label, shown.columns, shown.rows),
    )
  })
  return (state) => {
    board.show(state)
    if (state.sweep === undefined) return
    if (state.sweep === null) return setText(title, 'This sweep does not exist.')
    const { line, cells } = state.sweep
    setText(title, line.name)
    document.title = `${line.name} – salora board`
    row.show(line)
    showTable(state.sweep.table)
    list.show(cells)
  }
}
