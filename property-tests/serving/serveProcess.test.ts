/** Servers as processes: signals, clients that vanish or never let go, and memory over thousands of predictions. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { program } from '../cli/spawnSalora.js'
import { killedAfterEach } from '../support/childProcesses.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { trainToyRun } from './trainedToyRun.js'

const { folder } = temporaryFolder('serve-process')
const tracked = killedAfterEach()

beforeAll(() => trainToyRun(folder))

/** V8 lets a large heap grow for tens of thousands of requests before it collects. A small one shows what is really kept. */
const smallHeap = ['--max-old-space-size=96', '--max-semi-space-size=2']

const serving = ['serve', 'run', '--port', '0', '--json']
const started = (...args: readonly string[]) => startedProcess([...serving, ...args])
const startedProcess = async (
  args: readonly string[],
): Promise<{ readonly child: ChildProcess; readonly url: string; readonly stderr: () => string }> => {
  const child = tracked(spawn(process.execPath, [...smallHeap, program, ...args], { cwd: folder }))
  let [stdout, stderr] = ['', '']
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  for await (const piece of child.stdout?.setEncoding('utf8') ?? []) {
    stdout += String(piece)
    if (stdout.endsWith('}\n')) break
  }
  return { child, url: (JSON.parse(stdout) as { readonly url: string }).url, stderr: () => stderr }
}

const agent = new Agent({ keepAlive: true, maxSockets: 32 })
const classify = (url: string, text: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = request(`${url}/classify`, { agent, method: 'POST' }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
    })
    sent.on('error', reject)
    sent.end(JSON.stringify({ text }))
  })

/** A request that the server is at work on. One that ended before the server's metrics were read is sent again. */
const runningRequest = async (url: string): Promise<{ readonly answer: Promise<Response> }> => {
  const body = JSON.stringify({ inputs: Array.from({ length: 120 }, (_, i) => `good film ${i}`) })
  for (;;) {
    let ended = false
    const answer = fetch(`${url}/classify`, { method: 'POST', body })
    void answer.finally(() => (ended = true))
    while (!ended) if ((await (await fetch(`${url}/metrics`)).text()).includes('salora_queue_texts 120')) return { answer }
  }
}

describe('salora serve', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'finishes the requests that run at %s, exits with 0, and keeps no idle connection open',
    async (signal) => {
      const { child, url, stderr } = await started()
      expect(await classify(url, 'good')).toBe(200) // its connection stays open
      const exited = once(child, 'exit')
      const { answer } = await runningRequest(url)
      child.kill(signal)
      const { status } = await answer
      expect(status).toBe(200)
      expect((await (await answer).json()) as unknown[]).toHaveLength(120)
      expect(await exited).toEqual([0, null])
      expect(stderr()).toContain('finishing the requests that run; press Ctrl-C again to exit at once')
      expect(stderr()).toContain('try it: curl')
    },
  )

  it.skipIf(process.platform === 'win32')('leaves one line behind when it is killed, which no handler could write', async () => {
    const { child, stderr } = await started()
    child.kill('SIGKILL')
    await expect
      .poll(stderr)
      .toContain('salora serve: the process ended without a word: it was killed, ran out of memory, or a file of its')
  })

  it.skipIf(process.platform === 'win32')('ends with one line and exit code 1 once its model file is written into', async () => {
    const { child, url, stderr } = await started()
    expect(await classify(url, 'good')).toBe(200)
    const exited = once(child, 'exit')
    const weights = join(folder, 'tiny', 'model.safetensors')
    writeFileSync(weights, readFileSync(weights))
    expect(await classify(url, 'good')).toBe(500)
    expect(await exited).toEqual([1, null])
    expect(stderr()).toContain(`${weights}: expected the weights that were there at the start, got a file changed since\n`)
  })

  it('serves others beside clients that vanish, and closes one that sends nothing', async () => {
    const { url } = await started('--max-queue', '40')
    const { port } = new URL(url)
    for (let i = 0; i < 60; i++) {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined)
      const body = JSON.stringify({ inputs: Array.from({ length: 8 }, () => 'a film that nobody waits for') })
      socket.write(`POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      setTimeout(() => socket.destroy(), 1 + (i % 5))
    }
    await expect.poll(() => classify(url, 'good')).toBe(200)
    await expect.poll(async () => (await (await fetch(`${url}/metrics`)).text()).includes('salora_queue_texts 0')).toBe(true)
    const silent = connect(Number(port), '127.0.0.1')
    silent.write('POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\n')
    silent.resume()
    expect(await once(silent, 'close')).toEqual([false])
  }, 60_000)

  it.skipIf(process.platform !== 'linux')(
    'keeps its memory over 5,000 predictions (skipped where /proc is missing)',
    async () => {
      const { child, url } = await started()
      const megabytes = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024
      const predictions = async (count: number): Promise<void> => {
        let next = 0
        const client = async (): Promise<void> => {
          while (next < count) expect(await classify(url, `good film ${'fine '.repeat(next % 20)}${next++}`)).toBe(200)
        }
        await Promise.all(Array.from({ length: 16 }, client))
      }
      await predictions(2_000) // the heap has found its size
      const before = megabytes()
      await predictions(5_000)
      expect(megabytes() - before).toBeLessThan(20)
    },
    240_000,
  )
})

describe('a program that opens a run', () => {
  const library = new URL('../../dist/index.js', import.meta.url).href
  it('ends by itself where it forgot to release the run, after its calls have ended', async () => {
    const lines = ["const run = await openRun('run')", "run.predict('good film').then(({ label }) => console.log(label))"]
    writeFileSync(join(folder, 'forgot.mjs'), [`import { openRun } from '${library}'`, ...lines].join('\n'))
    expect(await runProgram(['forgot.mjs'])).toMatch(/^(good|bad)\n$/)
  }, 30_000)

  it('may be given as text, and have options of V8', async () => {
    const program = `import { openRun } from '${library}'; const run = await openRun('run'); console.log((await run.predict('good film')).label)`
    expect(await runProgram([...smallHeap, '--input-type=module', '-e', program])).toMatch(/^(good|bad)\n$/)
  }, 30_000)

  const runProgram = async (args: readonly string[]): Promise<string> => {
    const child = tracked(spawn(process.execPath, args, { cwd: folder }))
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    expect(await once(child, 'exit')).toEqual([0, null])
    return output
  }
})

/** Clients that never let go of their connection. */
const clients: Readonly<Record<string, string>> = {
  'has sent nothing': '',
  'has sent half of a header': 'POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\n',
  'has sent half of a body': 'POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{"text":',
  'reads no answer': 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(500),
  'follows events': 'GET /events?view=list HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer TOKEN\r\n\r\n',
}

describe('every server', () => {
  it.each([
    ['salora serve', serving],
    ['salora board', ['board', '.', '--port', '0', '--json']],
  ])('%s ends within 10 s of SIGTERM, whatever its clients do', async (_, args) => {
    const { child, url } = await startedProcess(args)
    const { port, hash } = new URL(url)
    for (const sent of Object.values(clients)) {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined)
      await once(socket, 'connect')
      socket.pause().write(sent.replace('TOKEN', hash.replace('#token=', '')))
    }
    await fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.text()) // so what came before has arrived
    const began = performance.now()
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
    expect(performance.now() - began).toBeLessThan(10_000)
  })
})
