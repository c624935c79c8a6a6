/** A board as a page asks it, without a browser: its parts as they stand, and any request one likes. */
import { request, type IncomingHttpHeaders } from 'node:http'
import type { Board } from '../../reporting/board/server.js'

export const keyOf = ({ url }: Pick<Board, 'url'>): string => url.split('#key=')[1] ?? ''

export type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string }

/** One request, its headers as given and no others but Host. A stream is left after its first bytes. */
export const ask = (
  { port }: Pick<Board, 'port'>,
  path: string,
  {
    method = 'GET',
    headers = {},
    body = '',
  }: { readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string } = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = ''
      const end = (): void => {
        asked.destroy()
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
      }
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
        if (response.headers['content-type']?.startsWith('text/event-stream') === true) end()
      })
      response.on('end', end)
    })
    asked.on('error', reject)
    asked.end(body)
  })

export const askedByPage = (board: Board): Readonly<Record<string, string>> => ({
  Authorization: `Bearer ${keyOf(board)}`,
  Origin: `http://127.0.0.1:${board.port}`,
  'Content-Type': 'application/json',
})

export type Parts = Readonly<Record<string, unknown>>

/** Follows a view: `parts` as the page has them after what it was told so far. */
export const followed = async (board: Board, query: string): Promise<{ readonly parts: () => Parts; readonly leave: () => void }> => {
  const stop = new AbortController()
  const response = await fetch(`http://127.0.0.1:${board.port}/live?${query}`, {
    headers: { Authorization: `Bearer ${keyOf(board)}` },
    signal: stop.signal,
  })
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`)
  const parts: Record<string, unknown> = {}
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder()
    let text = ''
    for await (const piece of stream as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(piece, { stream: true })
      const messages = text.split('\n\n')
      text = messages.pop() ?? ''
      for (const message of messages) if (message.startsWith('data: ')) Object.assign(parts, JSON.parse(message.slice(6)))
    }
  }
  read(response.body).catch(() => undefined) // it is left, or the board is gone
  return { parts: () => parts, leave: () => stop.abort() }
}
