/** What all of the page is built of: elements, numbers as they are read, cells of a state and of progress, a table of texts. */

export const elementsScript = `
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
`
