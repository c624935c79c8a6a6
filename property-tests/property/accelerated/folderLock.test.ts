/** Folder locks: one living process has the lock at a time, and a dead process loses it, wherever it ran. */
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, stat, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { lockFolder, patience, releaseThread, type FolderLock } from '../../../accelerated/storage/folderLock.js'
import { removeTemporaries, temporary } from '../../../accelerated/storage/atomicFile.js'
import { InputError } from '../../../accelerated/errors/inputError.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('lock')
let folder = ''
const held: FolderLock[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'f-'))
})
afterEach(async () => {
  for (const lock of held.splice(0)) await lock.release()
})

const lock = async (): Promise<FolderLock> => {
  const heldLock = await lockFolder(folder, 'F')
  held.push(heldLock)
  return heldLock
}
const claims = async () => (await readdir(folder)).map((name) => join(folder, name))
type Claim = Readonly<Record<'host' | 'boot' | 'numbers' | 'pid' | 'born' | 'thread', string | number | null>>
/** The claim that this process writes. */
const ownClaim = async (): Promise<Claim> => {
  const heldLock = await lockFolder(folder, 'F')
  const claim = JSON.parse(await readFile((await claims())[0] ?? '', 'utf8')) as Claim
  await heldLock.release()
  return claim
}
const theirs = (): string => join(folder, 'lock-0123456789ab.json')
/** Another process's claim, renewed `ago` milliseconds ago. */
const leave = async (change: Partial<Claim>, ago = 0): Promise<void> => {
  await writeFile(theirs(), JSON.stringify({ ...(await ownClaim()), ...change }))
  await utimes(theirs(), (Date.now() - ago) / 1000, (Date.now() - ago) / 1000)
}
const onLinux = process.platform === 'linux'
const noProcess = 4_194_304 // the largest number that Linux gives is one less

describe('a locked folder', () => {
  it('is refused to another process, with the name of its owner, until it is released', async () => {
    const first = await lock()
    const refusal = await lock().catch((thrown: unknown) => thrown)
    expect(refusal).toBeInstanceOf(InputError)
    expect(String(refusal)).toContain(`F: expected a folder that no other process is at work in, got process ${process.pid} on `)
    expect(await claims()).toHaveLength(1)
    await first.release()
    expect(await claims()).toEqual([])
    await lock()
  })

  it('refuses a process in the same words if its claim is removed while it is being written', async () => {
    await writeFile(join(folder, '.lock-0123456789ab.json.1.0123456789ab.partial'), '') // left by a killed process
    const owner = await lock()
    await removeTemporaries(folder)
    let removed = 0
    const contend = async (): Promise<readonly string[]> => {
      const refusals: string[] = []
      do refusals.push(await lock().then(() => 'locked', String))
      while (removed === 0)
      return refusals
    }
    const contenders = Promise.all(Array.from({ length: 8 }, contend))
    while (removed === 0)
      for (const name of (await readdir(folder)).filter((name) => temporary.test(name)))
        await unlink(join(folder, name)).then(
          () => removed++, // before it was renamed, so its writer must begin again
          () => undefined,
        )
    for (const refusal of (await contenders).flat()) expect(refusal).toMatch(/expected a folder that no other process is at work in/)
    expect(await claims()).toHaveLength(1)
    await owner.check()
  })

  it('has exactly one owner of two that come at once in a process whose timers fire together, since it is busy', async () => {
    const busy = setInterval(() => {
      const start = performance.now()
      while (performance.now() - start < 40);
    }, 0)
    try {
      for (let round = 0; round < 2; round++) {
        const answers = await Promise.allSettled([lock(), lock()])
        expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
        await held.pop()?.release()
      }
    } finally {
      clearInterval(busy)
    }
  })

  it.each([2, 3, 8])('has one owner at most if %i processes come at once, and exactly one of two', async (rivals) => {
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.allSettled(Array.from({ length: rivals }, lock))
      const winners = answers.filter(({ status }) => status === 'fulfilled').length
      expect(winners).toBeLessThanOrEqual(1)
      if (rivals === 2) expect(winners).toBe(1)
      expect(await claims()).toHaveLength(winners)
      for (const winner of held.splice(0)) await winner.release()
    }
  })

  it('is lost by an owner that was silent for too long, which must not write any more', async () => {
    const silent = await lock()
    await silent.check()
    await unlink((await claims())[0] ?? '')
    await expect(silent.check()).rejects.toThrow('F: expected this process alone at work there, got another that took over')
  })

  it('is renewed until it is released', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const heldLock = await lock()
      const [path = ''] = await claims()
      const [content, long] = [await readFile(path, 'utf8'), new Date(Date.now() - 10 * patience.silence)]
      await utimes(path, long, long)
      const began = Date.now()
      vi.advanceTimersByTime(patience.renewal)
      for (let tries = 0; tries < 1_000 && (await stat(path)).mtimeMs < began - patience.silence; tries++) await pause(10)
      expect((await stat(path)).mtimeMs).toBeGreaterThan(began - patience.silence)
      expect(await readFile(path, 'utf8')).toBe(content)
      await heldLock.release()
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('the lock of a terminated thread is released by its process, and by no other thread', async () => {
    const { thread } = await ownClaim()
    await leave({ thread: 77 })
    await releaseThread(folder, Number(thread))
    expect(await claims()).toEqual([theirs()])
    await releaseThread(folder, 77)
    expect(await claims()).toEqual([])
  })
})

describe('the claim of a dead process', () => {
  const isTaken = async (): Promise<void> => {
    const heldLock = await lock()
    expect(await claims()).toContain(theirs()) // nothing is changed by the taking
    await heldLock.clear()
    expect(await claims()).toHaveLength(1)
    await heldLock.check()
  }

  it.runIf(onLinux)('the claim of a dead process on this machine expires at once', async () => {
    await leave({ pid: noProcess })
    await isTaken()
  })
  it.runIf(onLinux)('expires even if its process id is used again', async () => {
    await leave({ pid: process.pid, born: '1' })
    await isTaken()
  })
  it.runIf(onLinux)('expires for a zombie', async () => {
    const parent = spawn('bash', ['-c', 'sleep 2 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] }) // which waits for no child
    try {
      const pid = await new Promise<number>((resolve) => parent.stdout.once('data', (text: Buffer) => resolve(Number(text.toString()))))
      const stateOf = async () => (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
      const born = (await stateOf())[19] ?? ''
      while ((await stateOf())[0] !== 'Z') await pause(50)
      await leave({ pid, born })
      await isTaken()
    } finally {
      parent.kill('SIGKILL')
    }
  })
  it.each<readonly [string, Partial<Claim>]>([
    ['another machine, or this one before it was started anew', { boot: 'another', pid: noProcess }],
    ['another space of process numbers, as containers have', { numbers: 'pid:[1]', pid: noProcess }],
  ])('the claim of %s expires after two minutes of silence', async (_, elsewhere) => {
    await leave(elsewhere, patience.silence - 10_000)
    await expect(lock()).rejects.toThrow(/got process 4194304 on .*; it counts as gone after 120 seconds of silence$/)
    await unlink(theirs())
    await leave(elsewhere, patience.silence + 10_000)
    await isTaken()
  })
  it('is removed although its process renewed it after the takeover, so that this process notices', async () => {
    await leave({ boot: 'another' }, patience.silence + 10_000)
    const heldLock = await lock()
    await utimes(theirs(), new Date(), new Date())
    await heldLock.clear()
    expect(await claims()).not.toContain(theirs())
  })
  it('expires after two minutes of silence if it is unreadable', async () => {
    await writeFile(theirs(), '')
    await expect(lock()).rejects.toThrow('it counts as gone after 120 seconds of silence')
    await utimes(theirs(), 1, 1)
    await isTaken()
  })
})

it('a living process keeps its lock, however long it was silent', async () => {
  await leave({}, 100 * patience.silence)
  await expect(lock()).rejects.toThrow(`got process ${process.pid} on `)
})
