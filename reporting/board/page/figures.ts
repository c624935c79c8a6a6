/** Figures: charts, drawn again when they have grown, and the numbers behind them. */
import { chartView } from '../../page/chartView.js'
import { copyFrom } from '../../page/copy.js'
import { defaultSmoothing, smoothingControl } from '../../page/smoothingControl.js'
import { cellText } from '../../charts/tableText.js'
import type { BoardState, RenderedFigure } from '../events.js'
import { make, removeOthers, setText, textTable } from './elements.js'

type FigureSection = { readonly element: HTMLElement; readonly show: (figure: RenderedFigure) => void }
type ChartSection = FigureSection & { readonly smooth: (weight: number) => void }

export const figureList = () => {
  const problems = make('ul')
  const figures = make('div', { className: 'figures' }, problems)
  const sections = new Map<string, ChartSection>()
  let smoothing = defaultSmoothing
  const control = smoothingControl((weight) => {
    smoothing = weight
    for (const { smooth } of sections.values()) smooth(weight)
  })
  const element = make('div', { hidden: true }, control, figures)
  const showFigure = (figure: RenderedFigure): void => {
    const section = sections.get(figure.name) ?? figureSection(figure, () => smoothing)
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
      element.hidden = state.figures.names.length + state.figures.problems.length === 0
    },
  }
}

const figureSection = ({ name, title }: RenderedFigure, smoothingNow: () => number): ChartSection => {
  const caption = make('p')
  const panels = make('div', { className: 'panels' })
  const numbers = figureNumbers(title)
  numbers.element.append(caption)
  const element = make('section', { id: `figure-${name}`, className: 'card' }, make('h2', { textContent: title }), panels, numbers.element)
  const charts: ReturnType<typeof chart>[] = []
  return {
    element,
    smooth: (weight) => {
      for (const { smooth } of charts) smooth(weight)
    },
    show: (figure) => {
      setText(caption, figure.caption)
      element.classList.toggle('whole', figure.panels.length > 1)
      for (const surplus of charts.splice(figure.panels.length)) surplus.element.remove()
      for (const [i, panel] of figure.panels.entries()) {
        const shown = charts[i] ?? chart(smoothingNow())
        if (charts[i] === undefined) panels.append(shown.element)
        charts[i] = shown
        shown.show(panel)
      }
      numbers.show(figure)
    },
  }
}

const chart = (smoothing: number) => {
  const title = make('figcaption')
  const image = make('div', { role: 'img', className: 'chart' })
  const view = chartView(image, smoothing)
  return {
    element: make('figure', {}, title, image),
    smooth: view.smooth,
    show: (panel: RenderedFigure['panels'][number]): void => {
      setText(title, panel.title)
      image.ariaLabel = panel.alternative
      view.show(panel.chart)
    },
  }
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
