/** Finds and makes elements of the page. */

/** The element with this id. @throws Error if there is none */
export const byId = <E extends HTMLElement>(id: string): E => {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`byId: expected an element with the id ${id}, got none`)
  return element as E
}

/** An element with text or children; text never becomes markup. */
export const make = <K extends keyof HTMLElementTagNameMap>(
  name: K,
  content: string | readonly Node[],
  className = '',
): HTMLElementTagNameMap[K] => {
  const element = document.createElement(name)
  if (className !== '') element.className = className
  element.append(...(typeof content === 'string' ? [content] : content))
  return element
}

export const makeButton = (label: string, onClick: () => void, described = label): HTMLButtonElement => {
  const button = make('button', label)
  button.type = 'button'
  button.setAttribute('aria-label', described)
  button.addEventListener('click', onClick)
  return button
}

/** A browser that blocks storage throws as it is asked. */
export const localStorageOrNull = (): Storage | null => {
  try {
    return self.localStorage
  } catch {
    return null
  }
}

/** A table with a header; cells after the first of a row are numbers. */
export const makeTable = (header: readonly string[], rows: readonly (readonly string[])[]): HTMLTableElement => {
  const cell = (name: 'th' | 'td') => (text: string, column: number) => make(name, text, column > 0 ? 'count' : '')
  return make('table', [
    make('thead', [make('tr', header.map(cell('th')))]),
    make(
      'tbody',
      rows.map((row) => make('tr', row.map(cell('td')))),
    ),
  ])
}
