/** The views: all runs and sweeps, one run, runs side by side, one sweep. Each answers with what shows what the stream told. */

export const viewsScript = `
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
`
