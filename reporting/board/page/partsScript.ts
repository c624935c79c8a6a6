/** Parts that several views have: what is wrong with the folder, the queue, and facts by name. */

export const partsScript = `
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
`
