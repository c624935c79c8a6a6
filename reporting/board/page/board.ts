/**
 * The script of the board: it follows the events of one view and shows them.
 *
 * This folder runs in the browser. It imports from Node's side only what needs no Node: events.ts, and tables and number formats of charts/.
 */
import { compareLimit, type BoardState, type View } from '../events.js'
import { showConnection, takeToken } from './connection.js'
import { elementById } from './elements.js'
import { followEvents } from './followEvents.js'
import { compareView } from './views/compareView.js'
import { listView } from './views/listView.js'
import { runView } from './views/runView.js'
import { sweepView } from './views/sweepView.js'

/** Each view builds its elements in the page, and returns a function that updates them. */
type ShowState = (state: BoardState, changed: BoardState) => void
const views: Readonly<Record<View['kind'], (ids: ReadonlyArray<string>) => ShowState>> = {
  list: listView,
  run: runView,
  compare: compareView,
  sweep: sweepView,
}

const viewOf = (hash: string): View => {
  const [, kind, ids = ''] = /^#\/(run|compare|sweep)\/([0-9a-f,]+)$/.exec(hash) ?? []
  return kind === undefined ? { kind: 'list', ids: [] } : { kind: kind as View['kind'], ids: ids.split(',').slice(0, compareLimit) }
}

let current = new AbortController()

const showView = (): void => {
  takeToken()
  current.abort()
  current = new AbortController()
  document.title = 'salora board'
  const view = viewOf(location.hash)
  const show = views[view.kind](view.ids)
  followEvents(view, current.signal, show).catch((error: unknown) => showConnection(String(error), true))
}

addEventListener('hashchange', () => {
  showView()
  elementById('main').focus()
  scrollTo(0, 0)
})
showView()
