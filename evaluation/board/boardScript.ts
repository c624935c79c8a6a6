/**
 * What the page does: it follows the board's stream, shows what it is told, and asks to stop a run. Text is only ever set as text. Plain JavaScript,
 * run by the browser; the key is kept where pages of this address alone can read it, and goes into a header, never into an address.
 */
import { copyScript } from '../report/copyScript.js'
import { runStates } from './state.js'

export const boardScript = `'use strict'
${copyScript}
const states = ${JSON.stringify(runStates)}
const compareLimit = 10
const main = document.getElementById('main')
const status = document.getElementById('status')

// the key: from the address that the terminal printed, once
const keyName = 'salora-board'
const takeKey = () => {
  const given = /^#key=([0-9a-f]{64})$/.exec(location.hash)
  if (!given) return false
  localStorage.setItem(keyName, given[1])
  history.replaceState(null, '', '#/')
  return true
}
takeKey()
const asked = (path, options = {}) =>
  fetch(path, { ...options, cache: 'no-store', headers: { ...options.headers, Authorization: 'Bearer ' + (localStorage.getItem(keyName) ?? '') } })

const say = (text, isBad = false) => {
  if (status.textContent !== text) status.textContent = text
  status.className = isBad ? 'bad' : ''
}

// elements
const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text
}
const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role' || name === 'scope' || name === 'for') element.setAttribute(name, value)
    else element[name] = value
  }
  element.append(...children)
  return element
}

// numbers: six digits are for reading, the rest is in the title
const number = (value) => {
  if (value === null || value === undefined) return ''
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? value.toLocaleString('en-US') : String(Number(value.toPrecision(6)))
}
const putNumber = (element, value) => {
  put(element, number(value))
  const full = value === null || value === undefined ? '' : String(value)
  if (element.title !== full) element.title = full
}
const duration = (seconds) => {
  if (seconds === null || seconds === undefined) return ''
  const whole = Math.round(seconds)
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)]
  if (hours > 0) return hours + ' h ' + minutes + ' min'
  return minutes > 0 ? minutes + ' min ' + (whole % 60) + ' s' : whole + ' s'
}
const counted = (count, noun) => count.toLocaleString('en-US') + ' ' + noun + (count === 1 ? '' : 's')

const stateCell = (element, state) => {
  put(element, state)
  const name = (element.dataset.base ?? '') + ' state ' + state
  if (element.className !== name) element.className = name
}
const showProgress = (cell, share, text) => {
  let bar = cell.querySelector('progress')
  if (!bar) {
    bar = make('progress', { max: 1 })
    cell.append(bar, make('span'))
  }
  if (share === null) bar.removeAttribute('value')
  else if (bar.value !== share) bar.value = share
  bar.setAttribute('aria-label', 'progress')
  put(cell.lastChild, text)
}
const shareOf = ({ step, steps }) => (steps ? Math.min(1, step / steps) : 0)
const stepsOf = ({ step, steps }) => (step === 0 && !steps ? '' : number(step) + ' of ' + (steps ? number(steps) : '?'))
const scoreText = (score) => (score ? score.name + ' ' + number(score.value) + (score.which === 'last' ? ' (last)' : '') : '')

// a table of texts, replaced as a whole where it changed
const tableOf = (label, columns, rows) =>
  make('div', { className: 'wide', role: 'region', 'aria-label': label, tabIndex: 0 },
    make('table', {},
      make('thead', {}, make('tr', {}, ...columns.map((column) => make('th', { scope: 'col', textContent: column })))),
      make('tbody', {}, ...rows.map((row) => make('tr', {}, ...row.map((cell) => make('td', { textContent: cell })))))))

/** The numbers behind a figure, made while they are open: most readers look at the chart. */
const numbersPart = (title) => {
  const place = make('div')
  const copy = make('button', { type: 'button', textContent: 'Copy as CSV', 'aria-label': 'Copy as CSV: ' + title })
  const area = make('textarea', { readOnly: true, spellcheck: false, 'aria-label': 'CSV: ' + title })
  const element = make('details', {}, make('summary', { textContent: 'Numbers' }), place, make('div', { className: 'buttons' }, copy),
    make('details', {}, make('summary', { textContent: 'CSV' }), area))
  let table = { columns: [], rows: [] }
  const cell = (value) => {
    const text = String(value ?? '')
    return /[",\\n\\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text
  }
  const fill = () => {
    if (!element.open) return
    const text = (value) => (typeof value === 'string' ? value : number(value) || '–')
    const { scrollTop } = place.firstChild ?? {}
    place.replaceChildren(tableOf('Numbers: ' + title, table.columns, table.rows.map((row) => row.map(text))))
    place.firstChild.scrollTop = scrollTop ?? 0
    if (document.activeElement !== area) area.value = [table.columns, ...table.rows].map((row) => row.map(cell).join(',') + '\\n').join('')
  }
  element.addEventListener('toggle', fill)
  copy.addEventListener('click', () => void copyOn(copy, area))
  return {
    element,
    show: (given) => {
      table = given
      fill()
    },
  }
}

// --- the list
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

/** Lines of runs: each row stays where it is while its numbers change. */
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

// --- parts that several views have
const aboutPart = () => {
  const problem = make('p', { role: 'alert' })
  const queue = make('section', { hidden: true })
  let before = ''
  return {
    problem,
    queue,
    show: (about) => {
      put(problem, about?.problem ?? '')
      problem.hidden = !about?.problem
      const text = JSON.stringify(about?.queue ?? null)
      if (text === before) return
      before = text
      const state = about?.queue
      queue.hidden = !state
      if (!state) return
      const kinds = state.counts ? Object.entries(state.counts).map(([kind, count]) => number(count) + ' ' + kind).join(', ') : ''
      queue.replaceChildren(
        make('h2', { textContent: 'Queue' }),
        make('p', { className: 'queue', textContent: state.problem ?? state.address + ': ' + kinds + (state.looked === null ? '' : '; of the first ' + number(state.looked) + ' jobs:') }),
        ...(state.owners.length === 0 ? [] : [tableOf('Queue by sweep', ['folder of the sweep', 'active', 'waiting', 'delayed', 'failed'], state.owners.map((own) => [own.folder, number(own.active), number(own.waiting), number(own.delayed), number(own.failed)]))]),
        ...(state.failures.length === 0 ? [] : [make('details', {}, make('summary', { textContent: 'What ended the newest failed ones' }), tableOf('Failed jobs', ['run', 'why'], state.failures.map(({ cell, reason }) => [cell, reason])))]))
    },
  }
}

/** Figures, each replaced where it was drawn anew. */
const figuresPart = () => {
  const element = make('div', { className: 'figures' })
  const sections = new Map()
  const numbers = new Map()
  const odd = make('ul')
  element.append(odd)
  const parser = new DOMParser()
  const svgOf = (text) => {
    const { documentElement: svg } = parser.parseFromString(text, 'image/svg+xml')
    return svg.localName === 'svg' ? document.importNode(svg, true) : document.createTextNode('this chart could not be drawn')
  }
  const draw = ({ name, title, caption, panels, table }) => {
    let section = sections.get(name)
    if (!section) {
      const own = numbersPart(title)
      section = make('section', { id: 'figure-' + name }, make('h2', { textContent: title }), make('p'), make('div', { className: 'panels' }), own.element)
      sections.set(name, section)
      numbers.set(name, own)
    }
    numbers.get(name).show(table)
    put(section.children[1], caption)
    const holder = section.children[2]
    while (holder.children.length > panels.length) holder.lastChild.remove()
    panels.forEach((panel, i) => {
      if (!holder.children[i]) holder.append(make('figure', {}, make('figcaption'), make('div', { role: 'img' })))
      const [caption, image] = holder.children[i].children
      put(caption, panel.title)
      image.setAttribute('aria-label', panel.alternative)
      image.replaceChildren(svgOf(panel.svg))
    })
  }
  return {
    element,
    show: (parts, changed) => {
      for (const [name, picture] of Object.entries(changed)) if (name.startsWith('figure ')) draw(picture)
      const { figures } = parts
      if (!figures) return
      odd.replaceChildren(...figures.odd.map((line) => make('li', { textContent: line })))
      for (const [name, section] of sections) if (!figures.names.includes(name)) {
        section.remove()
        sections.delete(name)
        numbers.delete(name)
      }
      let after = odd
      for (const name of figures.names) {
        const section = sections.get(name)
        if (!section) continue
        if (after.nextSibling !== section) after.after(section)
        after = section
      }
    },
  }
}

const factsPart = () => {
  const list = make('dl')
  const items = new Map()
  return {
    list,
    set: (facts) => {
      const wanted = facts.filter(([, value]) => value !== '' && value !== null && value !== undefined)
      const names = new Set(wanted.map(([name]) => name))
      for (const [name, item] of items) if (!names.has(name)) {
        item.remove()
        items.delete(name)
      }
      for (const [name, value] of wanted) {
        let item = items.get(name)
        if (!item) {
          item = make('div', {}, make('dt', { textContent: name }), make('dd'))
          items.set(name, item)
        }
        list.append(item)
        if (typeof value === 'number') putNumber(item.lastChild, value)
        else put(item.lastChild, value)
      }
    },
  }
}

// --- views
const listView = () => {
  const about = aboutPart()
  const sweeps = make('section', { hidden: true }, make('h2', { textContent: 'Sweeps' }))
  const sweepBody = make('tbody')
  sweeps.append(make('table', { className: 'list sweeps' },
    make('thead', {}, make('tr', {}, ...['sweep', 'state', 'runs', 'left', 'running', 'waiting', 'failed'].map((title, i) => make('th', { scope: 'col', textContent: title, className: i > 2 ? 'n' : '' })))), sweepBody))
  const title = make('h2', { textContent: 'Runs' })
  const empty = make('p', { className: 'quiet', textContent: 'Nothing is here yet: the board waits for the first run.', hidden: true })
  const list = runList(true)
  main.replaceChildren(about.problem, sweeps, make('section', {}, title, empty, list.element), about.queue)
  const sweepRows = new Map()
  const showSweeps = (lines) => {
    sweeps.hidden = lines.length === 0
    const ids = new Set(lines.map(({ id }) => id))
    for (const [id, row] of sweepRows) if (!ids.has(id)) {
      row.remove()
      sweepRows.delete(id)
    }
    for (const line of lines) {
      let row = sweepRows.get(line.id)
      if (!row) {
        row = make('tr', {}, make('td', { className: 'name' }, make('a', { href: '#/sweep/' + line.id, textContent: line.name }), make('span', { className: 'why' })),
          make('td'), make('td', { className: 'progress' }), make('td', { className: 'n', 'data-label': 'left' }), make('td', { className: 'n', 'data-label': 'running' }), make('td', { className: 'n', 'data-label': 'waiting' }), make('td', { className: 'n', 'data-label': 'failed' }))
        sweepRows.set(line.id, row)
        sweepBody.append(row)
      }
      showSweep(row, line)
    }
  }
  return (parts) => {
    about.show(parts.about)
    showSweeps(parts.sweeps ?? [])
    const lines = (parts.order ?? []).flatMap((id) => parts['run ' + id] ?? [])
    const counts = states.map((state) => [state, lines.filter((line) => line.state === state).length]).filter(([, count]) => count > 0)
    put(title, lines.length === 0 ? 'Runs' : 'Runs: ' + counts.map(([state, count]) => number(count) + ' ' + state).join(', '))
    empty.hidden = lines.length > 0
    list.element.hidden = lines.length === 0
    list.set(lines)
  }
}
const sweepState = (line) => (line.atWork ? 'running' : line.cells > 0 && line.counts.finished === line.cells ? 'finished' : line.counts.running > 0 ? 'running' : 'interrupted')
const showSweep = (row, line) => {
  const [name, state, progress, left, ...counts] = row.children
  put(name.lastChild, [line.sweep, line.stage === 'grid' ? 'choosing learning rates' : '', line.problem ?? ''].filter(Boolean).join(' · '))
  stateCell(state, sweepState(line))
  showProgress(progress, line.share, number(line.counts.finished) + ' of ' + number(line.cells) + ' done')
  put(left, duration(line.left))
  ;['running', 'waiting', 'failed'].forEach((kind, i) => put(counts[i], number(line.counts[kind])))
}

const runView = (ids) => {
  const about = aboutPart()
  const title = make('h2')
  const state = make('span')
  const why = make('p', { className: 'quiet' })
  const progress = make('p', { className: 'progress' })
  const facts = factsPart()
  const goOn = make('p', { hidden: true })
  const stop = make('button', { type: 'button', className: 'stop', textContent: 'Stop this run …', hidden: true })
  const answer = make('p', { role: 'status' })
  const question = make('p')
  const yes = make('button', { type: 'button', className: 'stop', textContent: 'Stop it' })
  const no = make('button', { type: 'button', textContent: 'Let it run' })
  const dialog = make('dialog', { 'aria-label': 'Stop this run?' }, make('h2', { textContent: 'Stop this run?' }), question, make('div', { className: 'buttons' }, no, yes))
  stop.addEventListener('click', () => dialog.showModal())
  no.addEventListener('click', () => dialog.close())
  yes.addEventListener('click', async () => {
    dialog.close()
    put(answer, 'asking …')
    try {
      const response = await asked('stop', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ id: ids[0] }) })
      put(answer, (await response.json()).line)
    } catch {
      put(answer, 'The board did not answer: nothing is known of it.')
    }
  })
  const settings = make('section', {}, make('h2', { textContent: 'Settings' }))
  const figures = figuresPart()
  main.replaceChildren(about.problem, make('p', {}, make('a', { href: '#/', textContent: '← All runs' })), title, make('p', {}, state), why, progress, make('div', { className: 'buttons' }, stop), answer, goOn, facts.list, figures.element, settings, about.queue, dialog)
  let shownSettings = ''
  let isThere = false
  return (parts, changed) => {
    about.show(parts.about)
    if (parts.run === undefined) return
    if (parts.run === null) {
      if (!isThere) put(title, 'This run is not here yet, or not any more.')
      else put(why, 'This run is not here any more.')
      return
    }
    isThere = true
    const { line, numbers, settings: given, stops, cannotStop, goOn: command } = parts.run
    put(title, line.name)
    document.title = line.name + ' – salora board'
    stateCell(state, line.state)
    put(why, [line.why ?? '', cannotStop ? 'It cannot be stopped from here: ' + cannotStop + '.' : ''].filter(Boolean).join(' · '))
    showProgress(progress, shareOf(line), stepsOf(line) + (line.left === null ? '' : ', ' + duration(line.left) + ' left'))
    stop.hidden = stops === null
    put(question, stops ?? '')
    if (stops === null && dialog.open) dialog.close()
    goOn.hidden = command === null
    if (command !== null && goOn.dataset.of !== command) {
      goOn.dataset.of = command
      goOn.replaceChildren('To go on with it: ', make('code', { textContent: command }))
    }
    facts.set([['task', line.task], ['method', line.method], ['loss', line.loss], ['score', scoreText(line.score)], ['tokens a second', line.tokensPerSecond], ...numbers])
    figures.show(parts, changed)
    const text = JSON.stringify(given)
    if (text === shownSettings) return
    shownSettings = text
    settings.replaceChildren(make('h2', { textContent: 'Settings' }), make('details', {}, make('summary', { textContent: counted(given.length, 'setting') }), tableOf('Settings', ['name', 'value'], given)))
  }
}

const compareView = () => {
  const about = aboutPart()
  const list = runList(false)
  const differing = make('section')
  const figures = figuresPart()
  main.replaceChildren(about.problem, make('p', {}, make('a', { href: '#/', textContent: '← All runs' })), make('h2', { textContent: 'Runs side by side' }), list.element, differing, figures.element)
  list.element.firstChild.hidden = true
  let before = ''
  return (parts, changed) => {
    about.show(parts.about)
    if (!parts.compare) return
    list.set(parts.compare.lines)
    const text = JSON.stringify(parts.compare.differing)
    if (text !== before) {
      before = text
      const { caption, columns, rows } = parts.compare.differing
      differing.replaceChildren(make('h2', { textContent: 'Settings' }), make('p', { textContent: caption }), ...(rows.length === 0 ? [] : [tableOf('Settings that differ', columns, rows)]))
    }
    figures.show(parts, changed)
  }
}

const sweepView = () => {
  const about = aboutPart()
  const title = make('h2')
  const row = make('tr', {}, make('td', { className: 'name' }, make('span'), make('span', { className: 'why' })), make('td'), make('td', { className: 'progress' }), ...['left', 'running', 'waiting', 'failed'].map((label) => make('td', { className: 'n', 'data-label': label })))
  const line = make('table', { className: 'list sweeps' }, make('thead', {}, make('tr', {}, ...['sweep', 'state', 'runs', 'left', 'running', 'waiting', 'failed'].map((name, i) => make('th', { scope: 'col', textContent: name, className: i > 2 ? 'n' : '' })))), make('tbody', {}, row))
  const table = make('section')
  const list = runList(true)
  main.replaceChildren(about.problem, make('p', {}, make('a', { href: '#/', textContent: '← All runs' })), title, line, table, make('section', {}, make('h2', { textContent: 'Its runs' }), list.element), about.queue)
  let before = ''
  return (parts) => {
    about.show(parts.about)
    if (parts.sweep === undefined) return
    if (parts.sweep === null) {
      put(title, 'This sweep is not here yet, or not any more.')
      return
    }
    put(title, parts.sweep.line.name)
    document.title = parts.sweep.line.name + ' – salora board'
    showSweep(row, parts.sweep.line)
    const text = JSON.stringify(parts.sweep.table)
    if (text !== before) {
      before = text
      const shown = parts.sweep.table
      table.replaceChildren(...(shown === null ? [] : [make('h2', { textContent: 'The table so far' }), make('p', { textContent: shown.caption }), tableOf('The table so far', shown.columns, shown.rows)]))
    }
    list.set(parts.sweep.cells)
  }
}

// --- the stream
const views = { list: listView, run: runView, compare: compareView, sweep: sweepView }
const viewIn = (hash) => {
  const [, kind = '', rest = ''] = /^#\\/(run|compare|sweep)\\/([0-9a-f,]+)$/.exec(hash) ?? []
  return kind === '' ? { kind: 'list', ids: [] } : { kind, ids: rest.split(',').slice(0, compareLimit) }
}
let following = null
const silence = 35000
const follow = async () => {
  following?.abort()
  const own = new AbortController()
  following = own
  const { kind, ids } = viewIn(location.hash)
  document.title = 'salora board'
  const show = views[kind](ids)
  let wait = 1000
  while (!own.signal.aborted) {
    const once = new AbortController()
    const end = () => once.abort()
    own.signal.addEventListener('abort', end)
    let timer = setTimeout(end, silence)
    try {
      const query = new URLSearchParams([['view', kind], ...ids.map((id) => ['id', id])])
      const response = await asked('live?' + query, { signal: once.signal })
      if (response.status === 403) {
        say('This address has no key of the board: it was started again, or never opened here. Open the address that it printed.', true)
        return
      }
      if (!response.ok) throw new Error((await response.json()).line)
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      const parts = {}
      let text = ''
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        clearTimeout(timer)
        timer = setTimeout(end, silence)
        text += value
        const messages = text.split('\\n\\n')
        text = messages.pop()
        for (const message of messages) {
          if (!message.startsWith('data: ')) continue
          const changed = JSON.parse(message.slice(6))
          Object.assign(parts, changed)
          if (own.signal.aborted) return
          show(parts, changed)
          wait = 1000
          say('live')
        }
      }
      throw new Error('')
    } catch (thrown) {
      if (own.signal.aborted) return
      const line = thrown instanceof Error && /^expected/.test(thrown.message) ? thrown.message : 'The board does not answer'
      say(line + ': trying again. What is shown is as it was.', true)
    } finally {
      clearTimeout(timer)
      own.signal.removeEventListener('abort', end)
    }
    await new Promise((done) => setTimeout(done, wait))
    wait = Math.min(10000, 1.5 * wait)
  }
}
addEventListener('hashchange', () => {
  takeKey()
  void follow().catch((error) => say(String(error), true))
  main.focus()
  scrollTo(0, 0)
})
void follow().catch((error) => say(String(error), true))
`
