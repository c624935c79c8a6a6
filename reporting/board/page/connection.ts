/**
 * Requests to the board. The token comes from the URL that the terminal printed. It is stored for pages of this address only,
 * and is sent in a header, never in a URL.
 */
import { elementById, setText } from './elements.js'

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
  const status = elementById('status')
  setText(status, text)
  status.className = isProblem ? 'bad' : ''
}
