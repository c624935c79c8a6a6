/** The script of the board: it follows the events of one view, renders it again with each, and does what the reader asks for. */
import morphdom from 'morphdom'
import { compareLimit, type Answer, type BoardState, type SentenceAnswer, type View } from '../board/events.js'
import { figuresIn, viewHtml, viewTitle, type Reader, answerHtml } from '../views/boardView.js'
import { html } from '../text/html.js'
import { listenToButtons, showCharts, smoothingControl } from './charts.js'
import { followEvents, request, showConnection, takeToken } from './connection.js'

const nothing = { open: new Set<string>(), stopAnswer: '', sentenceAnswer: null, isAsking: false } as const
let reader: Reader = { ...nothing, order: { column: 'status', isDescending: false }, words: '', status: '', selected: new Set() }
let view: View = { kind: 'list', ids: [] }
let state: BoardState = {}
let current = new AbortController()
const control = smoothingControl()

const main = document.getElementById('main') ?? document.body

/** Changes what has changed in the page. What the reader typed, opened, scrolled and focused stays. */
const render = (): void => {
  const focused = document.activeElement
  const next = main.cloneNode() as HTMLElement
  next.innerHTML = viewHtml(view, state, reader).html
  morphdom(main, next, { childrenOnly: true, onBeforeElUpdated: keepsReading })
  document.getElementById('smoothing')?.append(control)
  showCharts(new Map(figuresIn(state).flatMap(({ panels }) => panels.map(({ name, chart }) => [name, chart] as const))))
  if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected) focused.focus()
  document.title = viewTitle(state)
}

/** @returns whether the element takes the new one's attributes and children */
const keepsReading = (from: HTMLElement, to: HTMLElement): boolean => {
  if (from.matches('.chart')) {
    for (const { name, value } of to.attributes) from.setAttribute(name, value)
    return false
  }
  if (from.matches('#smoothing, select, input:not([type=checkbox]), textarea:focus, button[data-label]')) return false
  if (from.matches('details[open], dialog[open]')) to.setAttribute('open', '')
  return !from.isEqualNode(to)
}

const change = (changed: Partial<Reader>): void => {
  reader = { ...reader, ...changed }
  render()
}

const parseView = (hash: string): View => {
  const [, kind, ids = ''] = /^#\/(run|compare|sweep)\/([0-9a-f,]+)$/.exec(hash) ?? []
  return kind === undefined ? { kind: 'list', ids: [] } : { kind: kind as View['kind'], ids: ids.split(',').slice(0, compareLimit) }
}

const showView = (): void => {
  takeToken()
  current.abort()
  current = new AbortController()
  ;[view, state] = [parseView(location.hash), {}]
  main.replaceChildren() // another view shares no element, so no field keeps its text
  change({ ...nothing, words: '', status: '' })
  followEvents(view, current.signal, (received) => {
    state = received
    render()
  }).catch((error: unknown) => showConnection(String(error), true))
}

const without = (set: ReadonlySet<string>, name: string, isIn: boolean): ReadonlySet<string> =>
  new Set([...[...set].filter((one) => one !== name), ...(isIn ? [name] : [])])

const actions: Readonly<Record<string, (element: HTMLElement) => void>> = {
  sort: ({ dataset: { column = '' } }) =>
    change({ order: { column, isDescending: reader.order.column === column && !reader.order.isDescending } }),
  compare: () => {
    location.hash = `#/compare/${[...reader.selected].join(',')}`
  },
  ask: () => confirmation()?.showModal(),
  cancel: () => confirmation()?.close(),
  stop: () => {
    confirmation()?.close()
    change({ stopAnswer: 'Stopping …' })
    const lost = 'The connection to the board is lost. The run may still be running.'
    void post<Answer>('stop', { id: view.ids[0] }, lost).then(({ message }) => change({ stopAnswer: message }))
  },
}

const confirmation = (): HTMLDialogElement | null => document.querySelector('dialog')

const post = async <Result extends Answer>(path: string, body: object, lost: string): Promise<Result | Answer> => {
  try {
    const response = await request(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
    return (await response.json()) as Result
  } catch {
    return { message: lost }
  }
}

const fieldValue = (id: string): string | undefined => {
  const field = document.getElementById(id)
  return field instanceof HTMLInputElement || field instanceof HTMLSelectElement ? field.value : undefined
}

const askSentence = async (): Promise<void> => {
  if (reader.isAsking) return
  const [text, textPair] = [fieldValue('text')?.trim() ?? '', fieldValue('text-pair')] // as the board reads it
  const asked = view
  change({ isAsking: true, sentenceAnswer: html`The model answers … (the first answer opens it)` })
  const body = { id: view.ids[0], text, ...(textPair === undefined ? {} : { textPair }) }
  const answer = await post<SentenceAnswer>('predict', body, 'The connection to the board is lost.')
  if (asked === view) change({ isAsking: false, sentenceAnswer: answerHtml(text, answer) })
}

document.addEventListener('click', ({ target }) => {
  const element = target instanceof Element ? target.closest<HTMLElement>('button[data-action]') : null
  if (element !== null) actions[element.dataset['action'] ?? '']?.(element)
})
document.addEventListener('input', ({ target }) => {
  if (!(target instanceof HTMLElement)) return
  if (target instanceof HTMLInputElement && target.dataset['id'] !== undefined)
    change({ selected: without(reader.selected, target.dataset['id'], target.checked) })
  else if (target.matches('#words, #status-filter')) change({ words: fieldValue('words') ?? '', status: fieldValue('status-filter') ?? '' })
})
document.addEventListener('submit', (event) => {
  event.preventDefault()
  void askSentence()
})
// this event does not bubble
document.addEventListener(
  'toggle',
  ({ target }) => {
    if (target instanceof HTMLDetailsElement) change({ open: without(reader.open, target.id, target.open) })
  },
  true,
)
addEventListener('hashchange', () => {
  showView()
  main.focus()
  scrollTo(0, 0)
})
listenToButtons()
showView()
