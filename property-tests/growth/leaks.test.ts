/** What one process holds after thousands of predictions, many runs and an open board: memory, descriptors and listeners that do not grow. */
import { spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { embeddedModel, finetune, openRun } from '../../index.js'
import { startBoard } from '../../reporting/board/server.js'
import { follow } from '../board/boardClient.js'
import { program } from '../cli/spawnSalora.js'
import { toyFile } from '../cli/toyTask.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('leaks')
const { signal } = new AbortController()

type Resources = { readonly megabytes: number; readonly descriptors: number; readonly listeners: number }

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Descriptors are the fewest of several looks: a file that is being read, or a connection that is closing, is no leak. */
const resources = async (looks = 25): Promise<Resources> => {
  let descriptors = Infinity
  for (let i = 0; i < looks; i++) {
    if (i % 8 === 0) collect()
    await pause(200)
    descriptors = Math.min(descriptors, readdirSync('/proc/self/fd').length)
  }
  const ofProcess = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)
  return { megabytes: process.memoryUsage.rss() / 2 ** 20, descriptors, listeners: ofProcess + getEventListeners(signal, 'abort').length }
}

/** What has grown. @param megabytes that the allocator and V8 may keep */
const growth = (before: Resources, after: Resources, megabytes: number): readonly string[] => [
  ...(after.megabytes - before.megabytes > megabytes ? [`${before.megabytes.toFixed()} → ${after.megabytes.toFixed()} MB`] : []),
  ...(['descriptors', 'listeners'] as const).flatMap((of) => (after[of] > before[of] ? [`${before[of]} → ${after[of]} ${of}`] : [])),
]

const train = async (name: string): Promise<string> => {
  const data = write('toy.tsv', toyFile(40))
  const gates = { method: 'salora', gateStart: 0.2, gateEnd: 0.5, rank: 4 } as const
  const settings = { ...gates, maxSteps: 4, batchSize: 4, maxLength: 32, device: 'cpu', threads: 1 } as const
  const output = join(folder, name)
  for await (const _ of finetune({ model: embeddedModel, task: { task: data }, output, settings }, { signal }));
  return output
}

describe.skipIf(!existsSync('/proc/self/fd'))('one process does not grow', { timeout: 600_000 }, () => {
  it('as this measure finds a leaked descriptor, listener and buffer, and nothing where all is given back', async () => {
    const listener = (): void => undefined
    const before = await resources(3)
    const file = await open('package.json')
    const held = [Buffer.alloc(200 * 2 ** 20, 1)]
    process.on('SIGUSR2', listener)
    signal.addEventListener('abort', listener)
    const during = await resources(3)
    held.pop()
    await file.close()
    process.off('SIGUSR2', listener)
    signal.removeEventListener('abort', listener)
    expect([during.descriptors - before.descriptors, during.listeners - before.listeners]).toEqual([1, 2])
    expect(growth(before, during, 100)).toHaveLength(3)
    expect(growth(before, await resources(3), 100)).toEqual([])
  })

  it('over 2,000 predictions of one open run', async () => {
    const run = await openRun(await train('predictor'))
    let next = 0
    const predictUntil = (end: number) => {
      const caller = async (): Promise<void> => {
        while (next < end) {
          const number = next++
          await run.predict(`The food was good, and it is sentence ${number}. `.repeat(number % 50 === 0 ? 250 : 1 + (number % 20)))
        }
      }
      return Promise.all(Array.from({ length: 16 }, caller))
    }
    await predictUntil(500)
    const before = await resources()
    await predictUntil(2_000)
    expect(growth(before, await resources(), 40)).toEqual([])
    await run.release()
  })

  it('over 24 runs', async () => {
    for (let i = 0; i < 6; i++) await train(`run-${i}`)
    const before = await resources()
    for (let i = 6; i < 24; i++) await train(`run-${i}`)
    expect(growth(before, await resources(), 80)).toEqual([])
  })

  it('while a board is open over a growing run, and pages come and go', async () => {
    const training = spawn(
      process.execPath,
      [
        ...[program, 'train', '--model', embeddedModel, '--task', 'sentiment', '--max-length', '32', '--batch-size', '4', '--quiet'],
        ...['--max-steps', '1000000', '--eval-steps', '500', '--device', 'cpu', '--threads', '1', '--output', join(folder, 'growing')],
      ],
      { stdio: 'ignore' },
    )
    try {
      while (!existsSync(join(folder, 'growing', 'metrics.jsonl')) && training.exitCode === null) await pause(200)
      const board = await startBoard({ folder, port: 0 })
      const pages = [await follow(board, 'view=list'), await follow(board, 'view=run&id=growing')]
      const states = new Set<string>()
      const visit = async (rounds: number): Promise<void> => {
        for (let round = 0; round < rounds; round++) {
          const page = await follow(board, round % 2 === 0 ? 'view=list' : 'view=compare')
          await pause(400)
          page.close()
          states.add(JSON.stringify(pages[0]?.state()))
        }
        await pause(1_000) // closed connections end
      }
      await visit(40)
      const before = await resources()
      await visit(60)
      expect(growth(before, await resources(), 50)).toEqual([])
      expect(states.size).toBeGreaterThan(3)
      for (const page of pages) page.close()
      await board.close()
    } finally {
      training.kill('SIGKILL')
      if (training.exitCode === null && training.signalCode === null) await once(training, 'exit')
    }
  })
})
