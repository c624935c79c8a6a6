/** A client of the board without a browser: single requests with any headers, and the state of a view as a page has it. */
import { request, type IncomingHttpHeaders } from 'node:http'
import type { BoardState } from '../../reporting/board/events.js'
import type { Board } from '../../reporting/board/server.js'

export const tokenOf = ({ url }: Pick<Board, 'url'>): string => url.split('#token=')[1] ?? ''

export type Response = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string }

type RequestOptions = { readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }

/** Sends the given headers and Host, and no others. An event stream is closed after its first bytes. */
export const send = (
  { port }: Pick<Board, 'port'>,
  path: string,
  { method = 'GET', headers = {}, body = '' }: RequestOptions = {},
): Promise<Response> =>
  new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = ''
      const end = (): void => {
        sent.destroy()
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
      }
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        if (response.headers['content-type']?.startsWith('text/event-stream') === true) end()
      })
      response.on('end', end)
    })
    sent.on('error', reject)
    sent.end(body)
  })

/** The headers of a request from the board's own page. */
export const pageHeaders = (board: Board): Readonly<Record<string, string>> => ({
  Authorization: `Bearer ${tokenOf(board)}`,
  Origin: `http://127.0.0.1:${board.port}`,
  'Content-Type': 'application/json',
})

/** Follows a view. `state` is what a page knows after the events so far. */
export const follow = async (board: Board, query: string): Promise<{ readonly state: () => BoardState; readonly close: () => void }> => {
  const controller = new AbortController()
  const response = await fetch(`http://127.0.0.1:${board.port}/events?${query}`, {
    headers: { Authorization: `Bearer ${tokenOf(board)}` },
    signal: controller.signal,
  })
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`)
  const state: Record<string, unknown> = {}
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true })
      const messages = text.split('\n\n')
      text = messages.pop() ?? ''
      for (const message of messages) if (message.startsWith('data: ')) Object.assign(state, JSON.parse(message.slice('data: '.length)))
    }
  }
  read(response.body).catch(() => undefined) // closed here, or by the board
  return { state: () => state as BoardState, close: () => controller.abort() }
}
