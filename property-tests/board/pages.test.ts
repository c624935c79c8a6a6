/** Open pages: each receives only changes, events do not pile up for one that reads slowly, and nothing is read without one. */
import { appendFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { beforeAll, describe, expect, it } from 'vitest'
import type { BoardState, View } from '../../reporting/board/events.js'
import { openPages } from '../../reporting/board/pages.js'
import { hashName, openWatch } from '../../reporting/board/watch.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('pages')
const line = `run ${hashName('grows')}` as const
let step = 4
beforeAll(async () => {
  for (const name of ['grows', 'rests']) await writeRun(join(folder, name), {})
  await rm(join(folder, 'grows/result.json'))
  const lock = { host: 'elsewhere', boot: 'another', numbers: 'pid:[1]', pid: 5, born: '1', thread: 1 }
  await writeFile(join(folder, 'grows/lock-0123456789ab.json'), JSON.stringify(lock))
})
const grow = (): Promise<void> =>
  appendFile(join(folder, 'grows/metrics.jsonl'), `${JSON.stringify({ kind: 'step', step: ++step, taskLoss: 1 / step })}\n`)

/** Pages of the folder, and the number of times that it was read. */
const opened = (view: View = { kind: 'list', ids: [] }) => {
  const watch = openWatch(folder)
  let reads = 0
  const refresh = (): Promise<void> => {
    reads++
    return watch.refresh()
  }
  const pages = openPages({ ...watch, refresh })
  const app = new Hono().get('/', (c) => streamSSE(c, (stream) => pages.serve(stream, view, () => undefined)))
  const open = async () => {
    const { body } = await app.request('/')
    const reader = (body ?? new ReadableStream<Uint8Array>()).pipeThrough(new TextDecoderStream()).getReader()
    const next = async (): Promise<BoardState> => {
      const { value = '', done } = await reader.read()
      if (done) throw new Error('expected another event')
      return value.startsWith('data: ') ? (JSON.parse(value.slice('data: '.length)) as BoardState) : next()
    }
    return { next, close: () => reader.cancel() }
  }
  return { open, reads: () => reads }
}

describe('an open page', () => {
  it('receives everything once, and then only what has changed', async () => {
    const page = await opened().open()
    const first = await page.next()
    expect(first.order?.toSorted()).toEqual([hashName('grows'), hashName('rests')].toSorted())
    expect(first[line]).toMatchObject({ step, status: 'running' })
    for (let i = 0; i < 2; i++) {
      await grow()
      const changed = await page.next()
      expect([Object.keys(changed), changed[line]?.step]).toEqual([[line], step])
    }
    await page.close()
  })

  it('shows a run whose metrics cannot be read, with one line about them', async () => {
    const metrics = join(folder, 'rests/metrics.jsonl')
    await rename(metrics, join(folder, 'elsewhere'))
    await symlink(join(folder, 'elsewhere'), metrics)
    const page = await opened({ kind: 'run', ids: [hashName('rests')] }).open()
    const { run, figures, board } = await page.next()
    expect([run?.line.name, board?.problem, figures?.names]).toEqual(['rests', null, []])
    expect(figures?.problems).toEqual([expect.stringMatching(/metrics\.jsonl: expected a file within the folder, got ELOOP/)])
    await page.close()
  })

  it('receives at most two outdated events after it did not read for a while', async () => {
    const page = await opened().open()
    for (let i = 0; i < 8; i++) {
      await grow()
      await pause(500)
    }
    const steps: (number | undefined)[] = []
    while (steps.at(-1) !== step) steps.push((await page.next())[line]?.step)
    expect(steps.length).toBeLessThanOrEqual(3)
    await page.close()
  })

  it('shares the reading with others, and nothing is read after the last one has closed', async () => {
    const { open, reads } = opened()
    const all = await Promise.all(Array.from({ length: 10 }, open))
    await pause(2_500)
    expect(reads()).toBeLessThanOrEqual(3)
    for (const { close } of all) await close()
    await pause(1_500) // for an update that has started
    const after = reads()
    await pause(1_500)
    expect(reads()).toBe(after)
  })
})
