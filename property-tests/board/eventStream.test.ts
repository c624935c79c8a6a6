/** What pages are told: what has changed alone, nothing while nobody looks, and nothing that is heaped up for one that does not read. */
import type { ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { openLive } from '../../reporting/board/eventStream.js'
import { stateOf } from '../../reporting/board/runStatus.js'
import type { Watch, WatchedRun } from '../../reporting/board/watch.js'

const runAt = (step: number): WatchedRun => ({
  id: '0123456789abcdef',
  folder: '/runs/x',
  name: 'x',
  sweep: null,
  state: 'running',
  why: null,
  config: null,
  result: null,
  digest: {
    step,
    loss: 1 / step,
    density: null,
    lambda: null,
    tokensPerSecond: null,
    stepsPerEpoch: null,
    secondsPerStep: null,
    best: null,
    last: null,
    odd: 0,
  },
  steps: 100,
  left: null,
  updated: null,
})

/** A folder whose run has gone on by a step at each look. */
const growing = () => {
  let looks = 0
  const watch: Watch = {
    refresh: async () => {
      looks++
    },
    runs: () => new Map([['0123456789abcdef', runAt(looks)]]),
    sweeps: () => new Map(),
    more: () => null,
  }
  return { watch, looks: () => looks }
}

/** A connection whose other end reads only when it is told to. */
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
    read: (now: boolean) => {
      reads = now
      if (now) waiting?.()
      waiting = null
    },
  }
}

describe('a page', () => {
  it('that does not read is told nothing more until it does, and then how it is now', async () => {
    const { watch, looks } = growing()
    const live = openLive(watch, { draw: async () => null }, null)
    const [deaf, other] = [connection(), connection()]
    deaf.read(false)
    for (const { response } of [deaf, other]) live.follow(response, { kind: 'list', ids: [] })
    await expect.poll(() => other.written.length).toBeGreaterThan(4)
    expect(deaf.written).toEqual([': the board\n\n'])
    deaf.read(true)
    const before = looks()
    await expect.poll(() => deaf.written.length).toBeGreaterThan(1)
    const parts = JSON.parse(deaf.written[1]?.slice('data: '.length) ?? '') as Readonly<Record<string, { readonly step?: number }>>
    expect(parts['run 0123456789abcdef']?.step).toBeGreaterThanOrEqual(before)
    const second = JSON.parse(other.written.at(-1)?.slice('data: '.length) ?? '') as object
    expect(Object.keys(second)).toEqual(['run 0123456789abcdef']) // nothing else has changed
    live.close()
  })

  it('that is closed is the last for which anything is read', async () => {
    const { watch, looks } = growing()
    const live = openLive(watch, { draw: async () => null }, null)
    const only = connection()
    live.follow(only.response, { kind: 'list', ids: [] })
    await expect.poll(looks).toBeGreaterThan(0)
    only.response.destroy()
    await pause(1_500) // a look that was going on
    const after = looks()
    await pause(1_500)
    expect(looks()).toBe(after)
    live.close()
  })
})

describe('a state', () => {
  const claim = (lives: boolean | null, silent = 0) => ({ lives, silent })
  it.each([
    ['finished', { result: { interrupted: false }, claims: [claim(true)] }],
    ['running', { result: { interrupted: true }, claims: [claim(true)] }],
    ['running', { claims: [claim(false), claim(null, 119_000)] }],
    ['lost', { claims: [claim(false), claim(null, 121_000)] }],
    ['interrupted', { result: { interrupted: true }, claims: [claim(false)], failed: true }],
    ['failed', { failed: true, claims: [claim(false)] }],
    ['running', { failed: true, claims: [claim(true)] }],
    ['unreadable', { broken: true, config: false }],
    ['waiting', { config: false }],
    ['failed', {}],
  ] as const)('is %s by its signs: %j', (state, signs) => {
    expect(stateOf({ config: true, result: null, claims: [], failed: false, broken: false, ...signs })).toBe(state)
  })
})
