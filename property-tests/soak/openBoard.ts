/** A board that stays open over a growing run, while pages come and go. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { embeddedModel } from '../../index.js'
import { startBoard } from '../../reporting/board/server.js'
import { follow } from '../board/boardClient.js'
import { program } from '../cli/spawnSalora.js'
import { flat, resourcesNow, type Check } from './resources.js'

const flags = ['--task', 'sentiment', '--max-length', '32', '--batch-size', '4', '--max-steps', '1000000', '--eval-steps', '500']

/** Megabytes that the board may keep beyond those of the first third. */
const ofBoard = 50

export const soakBoard = async (folder: string, minutes: number): Promise<ReadonlyArray<Check>> => {
  const { signal } = new AbortController()
  const args = [
    'train',
    '--model',
    embeddedModel,
    ...flags,
    '--device',
    'cpu',
    '--threads',
    '1',
    '--output',
    join(folder, 'growing'),
    '--quiet',
  ]
  const training = spawn(process.execPath, [program, ...args], { stdio: 'ignore' })
  try {
    while (!existsSync(join(folder, 'growing', 'metrics.jsonl')) && training.exitCode === null) await pause(200)
    const board = await startBoard({ folder, port: 0, redis: null })
    const pages = [await follow(board, 'view=list'), await follow(board, 'view=run&id=growing')]
    const states = new Set<string>()
    let rounds = 0
    const visit = async (until: number): Promise<void> => {
      while (performance.now() < until) {
        const page = await follow(board, rounds++ % 2 === 0 ? 'view=list' : 'view=compare')
        await pause(500)
        page.close()
        states.add(JSON.stringify(pages[0]?.state()))
      }
      await pause(1_000) // closed connections end
    }
    const end = performance.now() + 60_000 * minutes
    await visit(performance.now() + 20_000 * minutes)
    const before = await resourcesNow(signal)
    await visit(end)
    const after = await resourcesNow(signal)
    for (const page of pages) page.close()
    await board.close()
    const part = `board, ${minutes} min, ${rounds} pages`
    const moved = { part, check: 'states seen', got: String(states.size), expected: 'more than 3', ok: states.size > 3 }
    return [...flat(part, before, after, ofBoard), moved]
  } finally {
    training.kill('SIGKILL')
    if (training.exitCode === null && training.signalCode === null) await once(training, 'exit')
  }
}
