/** A redis-server of a test's own, with an append-only file, on a port of its own. Null where there is no such program. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { connect } from 'node:net'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const program = ((): string | null => {
  try {
    return execFileSync('which', ['redis-server'], { encoding: 'utf8' }).trim()
  } catch {
    return null
  }
})()

export const hasRedis = program !== null

/** A port that no outgoing connection gets: one of those could take it while the server is down. */
const freePort = async (): Promise<number> => {
  for (;;) {
    const port = 10_000 + Math.floor(20_000 * Math.random())
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    await new Promise((closed) => server.close(closed))
    if (isFree) return port
  }
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })

export type RedisServer = {
  readonly url: string
  /** kills it at once and starts it again on what its file has */
  readonly restart: () => Promise<void>
  /** kills it and starts it again with nothing */
  readonly lose: () => Promise<void>
  readonly stop: () => Promise<void>
}

export const startRedis = async (folder: string, password: string | null = null): Promise<RedisServer> => {
  if (program === null) throw new Error('startRedis: expected a redis-server, got none')
  const port = await freePort()
  let child: ChildProcess
  const start = async (): Promise<void> => {
    const flags = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--appendonly',
      'yes',
      '--appendfsync',
      'always',
      '--save',
      '',
    ]
    const end = Date.now() + 30_000
    while (Date.now() < end) {
      child = spawn(program, [...flags, ...(password === null ? [] : ['--requirepass', password])], { stdio: 'ignore' })
      while (child.exitCode === null && child.signalCode === null && Date.now() < end) {
        if (await answers(port)) return
        await pause(50)
      }
    }
    throw new Error(`startRedis: expected a server at port ${port} within 30 s, got none`)
  }
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }
  await start()
  return {
    url: `redis://${password === null ? '' : `:${password}@`}127.0.0.1:${port}`,
    restart: async () => {
      await kill()
      await start()
    },
    lose: async () => {
      await kill()
      await rm(join(folder, 'appendonlydir'), { recursive: true })
      await start()
    },
    stop: kill,
  }
}
