/** Figures: charts as the board drew them, replaced when they are drawn again, and the numbers behind them. */
import { copyFrom } from '../../page/copy.js'
import type { Cell } from '../../charts/table.js'
import type { BoardState, RenderedFigure } from '../events.js'
import { make, removeOthers, setText, textTable } from './elements.js'
import { numberText } from './format.js'

type FigureSection = { readonly element: HTMLElement; readonly show: (figure: RenderedFigure) => void }

export const figureList = () => {
  const problems = make('ul')
  const element = make('div', { className: 'figures' }, problems)
  const sections = new Map<string, FigureSection>()
  const showFigure = (figure: RenderedFigure): void => {
    const section = sections.get(figure.name) ?? figureSection(figure)
    sections.set(figure.name, section)
    section.show(figure)
  }
  const arrange = (names: ReadonlyArray<string>): void => {
    removeOthers(sections, new Set(names))
    let previous: Element = problems
    for (const name of names) {
      const section = sections.get(name)?.element
      if (section === undefined) continue
      if (previous.nextSibling !== section) previous.after(section)
      previous = section
    }
  }
  return {
    element,
    show: (state: BoardState, changed: BoardState): void => {
      for (const [name, part] of Object.entries(changed)) if (name.startsWith('figure ')) showFigure(part as RenderedFigure)
      if (state.figures === undefined) return
      problems.replaceChildren(...state.figures.problems.map((line) => make('li', { textContent: line })))
      arrange(state.figures.names)
    },
  }
}

const figureSection = ({ name, title }: RenderedFigure): FigureSection => {
  const caption = make('p')
  const panels = make('div', { className: 'panels' })
  const numbers = figureNumbers(title)
  const element = make('section', { id: `figure-${name}` }, make('h2', { textContent: title }), caption, panels, numbers.element)
  const charts: ReturnType<typeof chart>[] = []
  return {
    element,
    show: (figure) => {
      setText(caption, figure.caption)
      for (const surplus of charts.splice(figure.panels.length)) surplus.element.remove()
      for (const [i, panel] of figure.panels.entries()) {
        const shown = charts[i] ?? chart()
        if (charts[i] === undefined) panels.append(shown.element)
        charts[i] = shown
        shown.show(panel)
      }
      numbers.show(figure)
    },
  }
}

const chart = () => {
  const title = make('figcaption')
  const image = make('div', { role: 'img' })
  return {
    element: make('figure', {}, title, image),
    show: (panel: RenderedFigure['panels'][number]): void => {
      setText(title, panel.title)
      image.ariaLabel = panel.alternative
      image.replaceChildren(svgElement(panel.svg))
    },
  }
}

const parser = new DOMParser()

const svgElement = (text: string): Node => {
  const { documentElement: svg } = parser.parseFromString(text, 'image/svg+xml')
  return svg.localName === 'svg' ? document.importNode(svg, true) : document.createTextNode('This chart could not be drawn.')
}

/** The numbers behind a figure, rendered while they are open: most readers only look at the chart. */
const figureNumbers = (title: string): FigureSection => {
  const tablePlace = make('div')
  const copyButton = make('button', { type: 'button', textContent: 'Copy as CSV', ariaLabel: `Copy as CSV: ${title}` })
  const area = make('textarea', { readOnly: true, spellcheck: false, ariaLabel: `CSV: ${title}` })
  const element = make(
    'details',
    {},
    make('summary', { textContent: 'Numbers' }),
    tablePlace,
    make('div', { className: 'buttons' }, copyButton),
    make('details', {}, make('summary', { textContent: 'CSV' }), area),
  )
  let shown: RenderedFigure | null = null
  const render = (): void => {
    if (!element.open || shown === null) return
    const { table, csv } = shown
    const scrollTop = tablePlace.firstElementChild?.scrollTop ?? 0
    const rows = table.rows.map((row) => row.map(cellText))
    const replacement = textTable(`Numbers: ${title}`, table.columns, rows)
    tablePlace.replaceChildren(replacement)
    replacement.scrollTop = scrollTop
    if (document.activeElement !== area) area.value = csv // keep a selection
  }
  element.addEventListener('toggle', render)
  copyButton.addEventListener('click', () => void copyFrom(area, copyButton))
  return {
    element,
    show: (figure) => {
      shown = figure
      render()
    },
  }
}

const cellText = (cell: Cell): string => {
  if (cell === null) return '–'
  return typeof cell === 'string' ? cell : numberText(cell)
}
