/** A connected page. It receives the changed parts of its view's state. A page that reads slowly receives fewer events, so none pile up. */
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { BoardState, View } from './events.js'
import type { ViewState } from './viewState.js'

export type Client = {
  readonly response: ServerResponse
  /** Sends what has changed since the last event, unless the page has not read that one yet. */
  readonly update: (stateOf: (view: View, knownFigures: string | null) => Promise<ViewState>) => Promise<void>
}

/** Milliseconds between heartbeats. */
const heartbeatInterval = 10_000
/** Milliseconds after which a page that reads nothing is disconnected. */
const stallTimeout = 60_000

export const newClient = (response: ServerResponse, view: View): Client => {
  const sent = new Map<string, string>()
  let figuresVersion: string | null = null
  let isUpdating = false
  let lastSent = performance.now()
  let stalledSince: number | null = null
  const isStalled = (): boolean => {
    if (response.writableLength === 0) stalledSince = null
    else stalledSince ??= performance.now()
    if (stalledSince !== null && performance.now() - stalledSince > stallTimeout) response.destroy()
    return stalledSince !== null
  }
  const write = (text: string): void => {
    lastSent = performance.now()
    response.write(`${text}\n\n`)
  }
  return {
    response,
    update: async (stateOf) => {
      if (isUpdating || response.destroyed || isStalled()) return
      isUpdating = true
      try {
        const next = await stateOf(view, figuresVersion)
        figuresVersion = next.figuresVersion
        const changed = changedParts(next.state, sent)
        if (Object.keys(changed).length > 0) write(`data: ${JSON.stringify(changed)}`)
        else if (performance.now() - lastSent > heartbeatInterval) write(': heartbeat')
      } finally {
        isUpdating = false
      }
    },
  }
}

/** The parts whose digests differ from the sent ones, which are updated. */
const changedParts = (state: BoardState, sent: Map<string, string>): BoardState => {
  for (const name of sent.keys()) if (name.startsWith('run ') && !(name in state)) sent.delete(name) // the run may come back
  const changed = Object.entries(state).filter(([name, part]) => {
    const digest = createHash('sha1').update(JSON.stringify(part)).digest('base64')
    if (sent.get(name) === digest) return false
    sent.set(name, digest)
    return true
  })
  return Object.fromEntries(changed) as BoardState
}
