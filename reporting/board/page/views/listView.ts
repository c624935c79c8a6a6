/** The start page: sweeps and runs of the folder. */
import { formatNumber } from '../../../charts/formatNumber.js'
import { runStatuses, type BoardState, type RunLine, type SweepLine } from '../../events.js'
import { boardStatus } from '../boardStatus.js'
import { elementById, make, removeOthers, setText } from '../elements.js'
import { runList } from '../runList.js'
import { newSweepRow, sweepTable, type SweepRow } from '../sweepRow.js'

export const listView = (): ((state: BoardState) => void) => {
  const status = boardStatus()
  const sweeps = sweepSection()
  const title = make('h2')
  const empty = make('p', { className: 'quiet', textContent: 'No runs yet. New runs appear here.', hidden: true })
  const list = runList(true)
  elementById('main').replaceChildren(status.problem, sweeps.element, make('section', {}, title, empty, list.element), status.queue)
  return (state) => {
    status.show(state)
    sweeps.show(state.sweeps ?? [])
    const lines = (state.order ?? []).flatMap((id) => state[`run ${id}`] ?? [])
    setText(title, titleText(lines))
    empty.hidden = lines.length > 0 || state.order === undefined
    list.element.hidden = lines.length === 0
    list.show(lines)
  }
}

const titleText = (lines: ReadonlyArray<RunLine>): string => {
  const counts = runStatuses.map((status) => ({ status, count: lines.filter((line) => line.status === status).length }))
  const shown = counts.filter(({ count }) => count > 0).map(({ status, count }) => `${formatNumber(count)} ${status}`)
  return shown.length === 0 ? 'Runs' : `Runs: ${shown.join(', ')}`
}

const sweepSection = () => {
  const body = make('tbody')
  const rows = new Map<string, SweepRow>()
  const element = make('section', { hidden: true }, make('h2', { textContent: 'Sweeps' }), sweepTable(body))
  return {
    element,
    show: (lines: ReadonlyArray<SweepLine>): void => {
      element.hidden = lines.length === 0
      removeOthers(rows, new Set(lines.map(({ id }) => id)))
      for (const line of lines) {
        const row = rows.get(line.id) ?? newSweepRow(make('a', { href: `#/sweep/${line.id}`, textContent: line.name }))
        if (!rows.has(line.id)) body.append(row.element)
        rows.set(line.id, row)
        row.show(line)
      }
    },
  }
}
