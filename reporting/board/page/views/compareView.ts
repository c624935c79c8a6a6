/** Several runs side by side, with the settings in which they differ. */
import type { BoardState, TextTable } from '../../events.js'
import { boardStatus } from '../boardStatus.js'
import { allRunsLink, elementById, make, onChange, textTable } from '../elements.js'
import { figureList } from '../figures.js'
import { runList } from '../runList.js'

export const compareView = (): ((state: BoardState, changed: BoardState) => void) => {
  const board = boardStatus()
  const list = runList(false)
  const differences = make('section')
  const figures = figureList()
  const title = make('h2', { textContent: 'Comparison of runs' })
  elementById('main').replaceChildren(board.problem, allRunsLink(), title, list.table, differences, figures.element)
  const showDifferences = onChange(({ caption, columns, rows }: TextTable) => {
    const table = rows.length === 0 ? [] : [textTable('Settings that differ', columns, rows)]
    differences.replaceChildren(make('h2', { textContent: 'Settings' }), make('p', { textContent: caption }), ...table)
  })
  return (state, changed) => {
    board.show(state)
    if (state.compare === undefined) return
    list.show(state.compare.lines)
    showDifferences(state.compare.differences)
    figures.show(state, changed)
  }
}
