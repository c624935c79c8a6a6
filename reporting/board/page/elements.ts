/** Creates and updates elements. Texts are only ever set as text, so a name from a folder cannot become HTML. */

type Properties<Tag extends keyof HTMLElementTagNameMap> = Partial<HTMLElementTagNameMap[Tag]> & {
  readonly data?: Readonly<Record<string, string>>
}

export const make = <Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  { data = {}, ...properties }: Properties<Tag> = {},
  ...children: ReadonlyArray<Node | string>
): HTMLElementTagNameMap[Tag] => {
  const element = document.createElement(tag)
  Object.assign(element, properties)
  for (const [name, value] of Object.entries(data)) element.dataset[name] = value
  element.append(...children)
  return element
}

/** Keeps unchanged texts, so that a selection survives updates. */
export const setText = (element: Element, text: string): void => {
  if (element.textContent !== text) element.textContent = text
}

/** An element of the page's HTML. */
export const elementById = (id: string): HTMLElement => {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`#${id}: expected an element, got none`)
  return element
}

/** A scrollable table of texts, to be replaced as a whole when it changes. */
export const textTable = (label: string, columns: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): HTMLDivElement => {
  const head = make('tr', {}, ...columns.map((column) => make('th', { scope: 'col', textContent: column })))
  const body = rows.map((row) => make('tr', {}, ...row.map((cell) => make('td', { textContent: cell }))))
  return make(
    'div',
    { className: 'wide', role: 'region', ariaLabel: label, tabIndex: 0 },
    make('table', {}, make('thead', {}, head), make('tbody', {}, ...body)),
  )
}

/** Runs `render` for a value only if the value has changed since the last call. */
export const onChange = <Value>(render: (value: Value) => void): ((value: Value) => void) => {
  let before: string | undefined
  return (value) => {
    const text = JSON.stringify(value)
    if (text === before) return
    before = text
    render(value)
  }
}

/** Removes the parts of a map whose keys are not in `keys`, with their elements. */
export const removeOthers = (parts: Map<string, { readonly element: Element }>, keys: ReadonlySet<string>): void => {
  for (const [key, { element }] of parts) {
    if (keys.has(key)) continue
    element.remove()
    parts.delete(key)
  }
}

export const allRunsLink = (): HTMLElement => make('p', {}, make('a', { href: '#/', textContent: '← All runs' }))
