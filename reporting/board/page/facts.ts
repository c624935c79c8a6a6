/** A list of named facts whose values are updated in place. */
import { make, removeOthers, setText } from './elements.js'
import { showNumber } from './format.js'

export type Fact = readonly [name: string, value: string | number | null]

export const factList = (): { readonly element: HTMLElement; readonly show: (facts: ReadonlyArray<Fact>) => void } => {
  const element = make('dl')
  const items = new Map<string, { readonly element: HTMLElement; readonly value: HTMLElement }>()
  const newItem = (name: string) => {
    const value = make('dd')
    return { element: make('div', {}, make('dt', { textContent: name }), value), value }
  }
  return {
    element,
    show: (facts) => {
      const shown = facts.filter(([, value]) => value !== '' && value !== null)
      removeOthers(items, new Set(shown.map(([name]) => name)))
      for (const [name, value] of shown) {
        const item = items.get(name) ?? newItem(name)
        items.set(name, item)
        element.append(item.element)
        if (typeof value === 'number') showNumber(item.value, value)
        else setText(item.value, value ?? '')
      }
    },
  }
}
