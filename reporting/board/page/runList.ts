/** A list of runs that readers filter, sort and select. A row stays in place while its numbers change. */
import { runStatuses, type ListedRun, type RunStatus } from '../events.js'
import { plural } from '../../charts/formatNumber.js'
import { make, removeOthers, setText } from './elements.js'
import { newRow, type Row } from './runRow.js'
import { compareButton } from './selection.js'
import { runColumns, sortLines, type SortOrder } from './runColumns.js'

/** Maximum number of rows: more are slow, and nobody reads them all. */
const rowLimit = 1_000

export type RunList = {
  readonly element: HTMLElement
  readonly table: HTMLElement
  readonly show: (lines: ReadonlyArray<ListedRun>) => void
}

/** @param isSelectable whether runs can be selected for a comparison */
export const runList = (isSelectable: boolean): RunList => {
  let order: SortOrder = { column: 'status', isDescending: false }
  let lines: ReadonlyArray<ListedRun> = []
  const rows = new Map<string, Row>()
  const body = make('tbody')
  const count = make('p', { className: 'quiet' })
  const render = (): void => {
    const matching = sortLines(lines.filter(filter.matches), order)
    const shown = matching.slice(0, rowLimit)
    head.show(order)
    arrangeRows(body, rows, shown, isSelectable)
    setText(count, countText(shown.length, matching.length, lines.length))
  }
  const filter = filterControls(render)
  const head = tableHead((column) => {
    order = { column, isDescending: order.column === column && !order.isDescending }
    render()
  })
  const table = make('table', { className: 'list' }, head.element, body)
  const bar = make('div', { className: 'bar' }, ...filter.elements, ...(isSelectable ? [compareButton()] : []), count)
  return {
    element: make('div', {}, bar, table),
    table,
    show: (listed) => {
      lines = listed
      removeOthers(rows, new Set(lines.map(keyOf)))
      render()
    },
  }
}

const keyOf = (line: ListedRun): string => line.id ?? `cell ${line.name}`

const countText = (shown: number, matching: number, all: number): string => {
  if (shown === all) return ''
  return shown < matching
    ? `The first ${plural(shown, 'run')} of ${matching}. Filter them to see others.`
    : `${plural(shown, 'run')} of ${all}`
}

/** Moves rows only where the order has changed, so that the focus stays. */
const arrangeRows = (body: HTMLElement, rows: Map<string, Row>, lines: ReadonlyArray<ListedRun>, isSelectable: boolean): void => {
  const focused = document.activeElement
  const keys = new Set(lines.map(keyOf))
  for (const [key, { element }] of rows) if (!keys.has(key)) element.remove()
  let next = body.firstChild
  for (const line of lines) {
    const row = rows.get(keyOf(line)) ?? newRow(line, isSelectable)
    rows.set(keyOf(line), row)
    row.show(line)
    if (row.element === next) next = next.nextSibling
    else body.insertBefore(row.element, next)
  }
  if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected) focused.focus()
}

const tableHead = (onSort: (column: string) => void) => {
  const cells = runColumns.map(({ title, isNumeric }) => {
    const button = make('button', { type: 'button', textContent: title })
    button.addEventListener('click', () => onSort(title))
    return { title, element: make('th', { scope: 'col', className: isNumeric ? 'n' : '' }, button) }
  })
  return {
    element: make('thead', {}, make('tr', {}, make('th'), ...cells.map(({ element }) => element))),
    show: ({ column, isDescending }: SortOrder): void => {
      for (const { title, element } of cells) element.ariaSort = title === column ? (isDescending ? 'descending' : 'ascending') : null
    },
  }
}

/** Filters by words in any text of a run, and by status. */
const filterControls = (onChange: () => void) => {
  const input = make('input', { type: 'search', spellcheck: false, autocomplete: 'off' })
  const options = ['', ...runStatuses].map((status) => make('option', { value: status, textContent: status || 'all' }))
  const select = make('select', {}, ...options)
  input.addEventListener('input', onChange)
  select.addEventListener('change', onChange)
  const wordsOf = (line: ListedRun): string => {
    const { name, status, reason } = line
    return [name, status, reason, ...(line.id === null ? [] : [line.task, line.method])].join(' ').toLowerCase()
  }
  return {
    elements: [make('label', { textContent: 'Filter by words' }, input), make('label', { textContent: 'Status' }, select)],
    matches: (line: ListedRun): boolean => {
      const status = select.value as RunStatus | ''
      const words = input.value.trim().toLowerCase().split(/\s+/)
      return (status === '' || line.status === status) && words.every((word) => wordsOf(line).includes(word))
    },
  }
}
