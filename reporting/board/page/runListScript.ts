/** The list of runs: filtered, sorted, chosen to be compared; each row stays where it is while its numbers change. */
import { runStates } from '../runStatus.js'

export const runListScript = `
const compareLimit = 10
const states = ${JSON.stringify(runStates)}
const picked = new Set()
const listColumns = [
  ['', null],
  ['run', (line) => line.name],
  ['state', (line) => states.indexOf(line.state)],
  ['step', (line) => shareOf(line)],
  ['left', (line) => line.left],
  ['loss', (line) => line.loss],
  ['score', (line) => line.score && line.score.value],
  ['tokens/s', (line) => line.tokensPerSecond],
]
const collator = new Intl.Collator('en', { numeric: true })
const compared = (a, b) => {
  const missing = (value) => value === null || value === undefined
  if (missing(a) || missing(b)) return missing(a) - missing(b)
  return typeof a === 'string' ? collator.compare(a, b) : a - b
}

const runList = (withPicks) => {
  let [sort, descending, words, wanted] = [2, false, '', '']
  let lines = []
  const rows = new Map()
  const body = make('tbody')
  const heads = listColumns.map(([title], i) => {
    const button = make('button', { type: 'button', textContent: title })
    button.addEventListener('click', () => {
      ;[sort, descending] = [i, sort === i ? !descending : false]
      arrange()
    })
    return make('th', i === 0 ? {} : { scope: 'col', className: i > 3 ? 'n' : '' }, ...(i === 0 ? [] : [button]))
  })
  const table = make('table', { className: 'list' }, make('thead', {}, make('tr', {}, ...heads)), body)
  const newRow = (line) => {
    const cell = (name, label = '') => make('td', { className: name, ...(label ? { 'data-label': label } : {}) })
    const pick = make('input', { type: 'checkbox', 'aria-label': 'compare ' + line.name })
    pick.checked = picked.has(line.id)
    pick.addEventListener('change', () => {
      if (pick.checked) picked.add(line.id)
      else picked.delete(line.id)
      showPicks()
    })
    const name = make('td', { className: 'name' })
    const title = line.id === null ? make('span', { textContent: line.name }) : make('a', { href: '#/run/' + line.id, textContent: line.name })
    const why = make('span', { className: 'why' })
    name.append(title, why)
    const cells = { state: cell(''), step: cell('progress'), left: cell('n', 'left'), loss: cell('n', 'loss'), score: cell('n'), rate: cell('n', 'tokens/s') }
    const row = make('tr', {}, make('td', { className: 'pick' }, ...(withPicks && line.id !== null ? [pick] : [])), name, ...Object.values(cells))
    return { row, why, cells, pick }
  }
  const show = ({ row, why, cells, pick }, line) => {
    put(why, [line.task && line.method ? line.task + ', ' + line.method : '', line.why ?? ''].filter(Boolean).join(' · '))
    stateCell(cells.state, line.state)
    if (line.step !== undefined) {
      showProgress(cells.step, shareOf(line), stepsOf(line))
      put(cells.left, duration(line.left))
      putNumber(cells.loss, line.loss)
      put(cells.score, scoreText(line.score))
      cells.score.title = line.score ? String(line.score.value) : ''
      putNumber(cells.rate, line.tokensPerSecond)
    }
    pick.checked = picked.has(line.id)
    row.dataset.id = line.id ?? ''
  }
  const keyOf = (line) => line.id ?? 'cell ' + line.name
  const matches = (line) =>
    (wanted === '' || line.state === wanted) && words.split(/\\s+/).every((word) => [line.name, line.state, line.task, line.method, line.why].join(' ').toLowerCase().includes(word))
  const most = 1000
  const note = make('p', { className: 'quiet' })
  const arrange = () => {
    for (const [i, head] of heads.entries()) {
      if (i === sort) head.setAttribute('aria-sort', descending ? 'descending' : 'ascending')
      else head.removeAttribute('aria-sort')
    }
    const key = listColumns[sort][1]
    const sorted = lines
      .filter(matches)
      .map((line, i) => ({ line, i, key: key(line) }))
      .sort((a, b) => (descending ? -1 : 1) * compared(a.key, b.key) || a.i - b.i)
    const shown = sorted.slice(0, most).map(({ line }) => line)
    const focused = document.activeElement
    const keep = new Set(shown.map(keyOf))
    for (const [id, { row }] of rows) if (!keep.has(id)) row.remove()
    let next = body.firstChild
    for (const line of shown) {
      const known = rows.get(keyOf(line)) ?? newRow(line)
      rows.set(keyOf(line), known)
      show(known, line)
      if (known.row === next) next = next.nextSibling
      else body.insertBefore(known.row, next)
    }
    if (focused !== document.activeElement && focused?.isConnected) focused.focus()
    put(note, shown.length === lines.length ? '' : shown.length < sorted.length ? 'The first ' + most + ' of ' + sorted.length + ' are shown: filter them.' : counted(shown.length, 'run') + ' of ' + lines.length.toLocaleString('en-US'))
  }
  const filter = make('input', { type: 'search', spellcheck: false, autocomplete: 'off' })
  filter.addEventListener('input', () => {
    words = filter.value.trim().toLowerCase()
    arrange()
  })
  const chosen = make('select', {}, make('option', { value: '', textContent: 'all' }), ...states.map((state) => make('option', { value: state, textContent: state })))
  chosen.addEventListener('change', () => {
    wanted = chosen.value
    arrange()
  })
  const compare = make('button', { type: 'button' })
  compare.addEventListener('click', () => {
    location.hash = '#/compare/' + [...picked].join(',')
  })
  const showPicks = () => {
    put(compare, 'Compare ' + (picked.size === 0 ? '' : picked.size + ' ') + 'runs')
    compare.disabled = picked.size < 2 || picked.size > compareLimit
    compare.title = picked.size > compareLimit ? 'at most ' + compareLimit + ' at once' : 'choose at least two'
  }
  showPicks()
  const tools = make('div', { className: 'bar' }, make('label', { textContent: 'Filter by words' }, filter), make('label', { textContent: 'State' }, chosen), ...(withPicks ? [compare] : []), note)
  return {
    element: make('div', {}, tools, table),
    set: (given) => {
      lines = given
      const there = new Set(given.map(keyOf))
      for (const [id, { row }] of rows)
        if (!there.has(id)) {
          row.remove()
          rows.delete(id)
        }
      arrange()
    },
  }
}
`
