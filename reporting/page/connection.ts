/**
 * The connection to the board: its event stream, which is followed again when it is lost, and requests. The token comes from the URL that the
 * terminal printed. It is stored for pages of this address only, and is sent in a header, never in a URL.
 */
import type { Answer, BoardState, View } from '../board/events.js'

const storageKey = 'salora-board'

/** Stores the token of the page's URL, and removes it from the URL. */
export const takeToken = (): void => {
  const [, token] = /^#token=([0-9a-f]{64})$/.exec(location.hash) ?? []
  if (token === undefined) return
  localStorage.setItem(storageKey, token)
  history.replaceState(null, '', '#/')
}

export const request = (path: string, options: RequestInit = {}): Promise<Response> =>
  fetch(path, {
    ...options,
    cache: 'no-store',
    headers: { ...options.headers, Authorization: `Bearer ${localStorage.getItem(storageKey) ?? ''}` },
  })

/** Shows the state of the connection at the top of the page. */
export const showConnection = (text: string, isProblem = false): void => {
  const status = document.getElementById('status')
  if (status === null) return
  if (status.textContent !== text) status.textContent = text // a selection survives
  status.className = isProblem ? 'bad' : ''
}

/** Milliseconds without an event after which the connection counts as lost. The board sends one at least every 10 seconds. */
const stallTimeout = 35_000
/** Milliseconds between attempts to reconnect: the first wait, the factor, and the longest wait. */
const [firstWait, waitFactor, longestWait] = [1_000, 1.5, 10_000]

/** Calls `onEvent` with the whole state and its changed parts, until `signal` aborts or the board rejects the token. */
export const followEvents = async (
  { kind, ids }: View,
  signal: AbortSignal,
  onEvent: (state: BoardState, changed: BoardState) => void,
): Promise<void> => {
  const query = new URLSearchParams([['view', kind], ...ids.map((id) => ['id', id])])
  let wait = firstWait
  const onConnected = (): void => {
    wait = firstWait
    showConnection('live')
  }
  while (!signal.aborted) {
    try {
      const response = await followOnce(`events?${query}`, signal, (state, changed) => {
        onEvent(state, changed)
        onConnected()
      })
      if (response === 'rejected') return
    } catch (thrown) {
      if (signal.aborted) return
      showConnection(`${describeProblem(thrown)} Retrying. The page shows the last known state.`, true)
    }
    await new Promise((resolve) => setTimeout(resolve, wait))
    wait = Math.min(longestWait, waitFactor * wait)
  }
}

/** An error that the board reports, as opposed to a lost connection. */
class BoardError extends Error {}

const describeProblem = (thrown: unknown): string =>
  thrown instanceof BoardError ? `${thrown.message}.` : 'The connection to the board is lost.'

/** Follows one connection. @throws if it ends */
const followOnce = async (
  path: string,
  signal: AbortSignal,
  onEvent: (state: BoardState, changed: BoardState) => void,
): Promise<'rejected'> => {
  const connection = new AbortController()
  const end = (): void => connection.abort()
  signal.addEventListener('abort', end)
  let timer = setTimeout(end, stallTimeout)
  try {
    const response = await request(path, { signal: connection.signal })
    if (response.status === 403) {
      showConnection('The token is missing or no longer valid. Open the URL that `salora board` printed.', true)
      return 'rejected'
    }
    if (!response.ok) throw new BoardError(((await response.json()) as Answer).message)
    let state: BoardState = {}
    for await (const changed of eventsIn(response)) {
      clearTimeout(timer)
      timer = setTimeout(end, stallTimeout)
      if (changed === null) continue
      state = { ...state, ...changed }
      if (!signal.aborted) onEvent(state, changed)
    }
    throw new Error('the stream has ended')
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}

/** The events of a response; null for a heartbeat. */
async function* eventsIn({ body }: Response): AsyncGenerator<BoardState | null> {
  if (body === null) return
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    const messages = text.split('\n\n')
    text = messages.pop() ?? ''
    yield null
    for (const message of messages) if (message.startsWith('data: ')) yield JSON.parse(message.slice('data: '.length)) as BoardState
  }
}
