/** Figures on the page: charts as they were drawn, each replaced where it was drawn anew, and the numbers behind them. */

export const figuresScript = `
/** The numbers behind a figure, made while they are open: most readers look at the chart. */
const numbersPart = (title) => {
  const place = make('div')
  const copy = make('button', { type: 'button', textContent: 'Copy as CSV', 'aria-label': 'Copy as CSV: ' + title })
  const area = make('textarea', { readOnly: true, spellcheck: false, 'aria-label': 'CSV: ' + title })
  const element = make('details', {}, make('summary', { textContent: 'Numbers' }), place, make('div', { className: 'buttons' }, copy),
    make('details', {}, make('summary', { textContent: 'CSV' }), area))
  let [table, csv] = [{ columns: [], rows: [] }, '']
  const fill = () => {
    if (!element.open) return
    const text = (value) => (typeof value === 'string' ? value : number(value) || '–')
    const { scrollTop } = place.firstChild ?? {}
    place.replaceChildren(tableOf('Numbers: ' + title, table.columns, table.rows.map((row) => row.map(text))))
    place.firstChild.scrollTop = scrollTop ?? 0
    if (document.activeElement !== area) area.value = csv
  }
  element.addEventListener('toggle', fill)
  copy.addEventListener('click', () => void copyOn(copy, area))
  return {
    element,
    show: (picture) => {
      ;({ table, csv } = picture)
      fill()
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
  const draw = (picture) => {
    const { name, title, caption, panels } = picture
    let section = sections.get(name)
    if (!section) {
      const own = numbersPart(title)
      section = make('section', { id: 'figure-' + name }, make('h2', { textContent: title }), make('p'), make('div', { className: 'panels' }), own.element)
      sections.set(name, section)
      numbers.set(name, own)
    }
    numbers.get(name).show(picture)
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
`
