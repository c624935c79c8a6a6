/** The event stream: pages receive only changes, nothing is read without a page, and events do not pile up for a page that reads slowly. */
import type { ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { BoardState } from '../../reporting/board/events.js'
import { openEventStream } from '../../reporting/board/eventStream.js'
import { statusOf } from '../../reporting/board/watchRun.js'
import type { Watch } from '../../reporting/board/watch.js'
import { noMetrics } from '../../reporting/board/metrics.js'
import type { WatchedRun } from '../../reporting/board/watchRun.js'

const runAt = (step: number): WatchedRun => ({
  id: '0123456789abcdef',
  folder: '/runs/x',
  name: 'x',
  sweep: null,
  status: 'running',
  reason: null,
  config: null,
  result: null,
  metrics: { ...noMetrics, step, loss: 1 / step },
  workers: null,
  steps: 100,
  secondsLeft: null,
})

/** A folder whose run advances by one step at each refresh. */
const growing = () => {
  let refreshes = 0
  const watch: Watch = {
    refresh: async () => {
      refreshes++
    },
    runs: () => new Map([['0123456789abcdef', runAt(refreshes)]]),
    sweeps: () => new Map(),
    problem: () => null,
  }
  return { watch, refreshes: () => refreshes }
}

/** A connection whose other end can stop reading. */
const connection = () => {
  const written: string[] = []
  let [reads, waiting]: [boolean, (() => void) | null] = [true, null]
  const response = new Writable({
    write: (chunk: Buffer, _, done) => {
      written.push(chunk.toString())
      if (reads) done()
      else waiting = done
    },
  })
  return {
    response: response as unknown as ServerResponse,
    written,
    setReading: (isReading: boolean) => {
      reads = isReading
      if (isReading) waiting?.()
      waiting = null
    },
  }
}

describe('a connected page', () => {
  it('receives nothing while it does not read, and then the current state', async () => {
    const { watch, refreshes } = growing()
    const stream = openEventStream(watch, { read: async () => null }, null)
    const [stalled, other] = [connection(), connection()]
    stalled.setReading(false)
    for (const { response } of [stalled, other]) stream.addClient(response, { kind: 'list', ids: [] })
    await expect.poll(() => other.written.length).toBeGreaterThan(4)
    expect(stalled.written).toEqual([': connected\n\n'])
    stalled.setReading(true)
    const before = refreshes()
    await expect.poll(() => stalled.written.length).toBeGreaterThan(1)
    const parts = JSON.parse(stalled.written[1]?.slice('data: '.length) ?? '') as BoardState
    expect(parts['run 0123456789abcdef']?.step).toBeGreaterThanOrEqual(before)
    const second = JSON.parse(other.written.at(-1)?.slice('data: '.length) ?? '') as object
    expect(Object.keys(second)).toEqual(['run 0123456789abcdef']) // nothing else has changed
    stream.close()
  })

  it('ends all reading when it is the last one and closes', async () => {
    const { watch, refreshes } = growing()
    const stream = openEventStream(watch, { read: async () => null }, null)
    const only = connection()
    stream.addClient(only.response, { kind: 'list', ids: [] })
    await expect.poll(refreshes).toBeGreaterThan(0)
    only.response.destroy()
    await pause(1_500) // for a refresh that has started
    const after = refreshes()
    await pause(1_500)
    expect(refreshes()).toBe(after)
    stream.close()
  })
})

describe('the status of a run', () => {
  const lock = (lives: boolean | null, silent = 0) => ({ lives, silent })
  it.each([
    ['finished', { result: { interrupted: false }, locks: [lock(true)] }],
    ['running', { result: { interrupted: true }, locks: [lock(true)] }],
    ['running', { locks: [lock(false), lock(null, 119_000)] }],
    ['crashed', { locks: [lock(false), lock(null, 121_000)] }],
    ['interrupted', { result: { interrupted: true }, locks: [lock(false)], hasFailed: true }],
    ['failed', { hasFailed: true, locks: [lock(false)] }],
    ['running', { hasFailed: true, locks: [lock(true)] }],
    ['running', { isDamaged: true, locks: [lock(true)] }],
    ['unreadable', { isDamaged: true, hasConfig: false }],
    ['waiting', { hasConfig: false }],
    ['failed', {}],
  ] as const)('is %s with the signs %j', (status, signs) => {
    expect(statusOf({ hasConfig: true, result: null, locks: [], hasFailed: false, isDamaged: false, ...signs })).toBe(status)
  })
})
