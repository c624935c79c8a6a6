/**
 * Early ends of runs. One Ctrl-C ends a run after its step and keeps it. Two exit at once and harm no file. A lost terminal
 * stops a run as Ctrl-C does, and a closed pipe of its progress does not. A disk that fills up ends a run in one line. An upload may be killed anywhere.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, truncateSync } from 'node:fs'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { jsonLines } from '../support/jsonLines.js'
import { filesOf, hub, lines, token, useUploadHub } from './push/uploadHub.js'
import { savedState } from './savedState.js'
import { program, salora } from './spawnSalora.js'
import { toyFolder, toyTrain } from './toyFolder.js'

const cwd = toyFolder('cli')

const steps = 300
const args = (output: string): readonly string[] => [
  ...toyTrain,
  ...['--batch-size', '4', '--max-steps', String(steps), '--save-steps', '20', '--eval-steps', '1000'],
  ...['--set', 'gate-start=0.2,gate-end=0.6'], // 120 steps with gates: enough not to be warned of
  ...['--head', 'transformers', '--output', output], // the first line of progress is then of step 1
]

const suddenEnd = (output: string): string =>
  `${output}: the process ended without a word: it was killed, ran out of memory, or a file of its model was changed. To resume: salora train --resume --output ${output}`

const saved = (output: string) => savedState(join(cwd, output), join(cwd, 'tiny'))

describe('Ctrl-C', () => {
  it('once finishes the step, saves the run and exits with 130, and --resume continues to the end', async () => {
    let sent = false
    const stopped = await salora(args('once'), {
      cwd,
      onError: (text, child) => {
        if (sent || !text.includes('step 1/')) return
        sent = true
        child.kill('SIGINT')
      },
    })
    expect(stopped.code).toBe(130)
    const step = Number(/^stopped after step (\d+) of 300$/m.exec(stopped.stdout)?.[1])
    expect(step).toBeGreaterThan(0)
    expect(step).toBeLessThan(steps)
    expect(stopped.stderr).toContain('stopping after this step and saving a checkpoint; press Ctrl-C again to exit at once\n')
    expect(stopped.stderr).toContain(`stopped by a signal after step ${step}; to resume: salora train --resume --output once\n`)
    expect((await saved('once')).step).toBe(step)

    const resumed = await salora(['train', '--resume', '--output', 'once'], { cwd })
    expect(resumed.code).toBe(0)
    expect(resumed.stderr).toContain(`resuming after step ${step} of 300`)
    expect(JSON.parse(await readFile(join(cwd, 'once', 'result.json'), 'utf8'))).toMatchObject({ interrupted: false, steps })
    const lines = jsonLines<{ kind: string; step: number }>(await readFile(join(cwd, 'once', 'metrics.jsonl'), 'utf8'))
    expect(lines.filter(({ kind }) => kind === 'step').map((line) => line.step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1))
  })

  it('is not needed for a run that is killed: one line says how to resume it', async () => {
    const killed = await salora(args('killed'), {
      cwd,
      onError: (text, child) => {
        if (text.includes('step 1/')) child.kill('SIGKILL')
      },
    })
    expect(killed.code).toBe(null)
    expect(killed.stderr.trimEnd().split('\n').at(-1)).toBe(suddenEnd('killed'))
  })

  it.skipIf(process.platform !== 'linux')('is not needed for a run whose model file gets shorter, either (Linux)', async () => {
    await cp(embeddedModel, join(cwd, 'shrinking'), { recursive: true })
    const ended = await salora([...args('shrunk'), '--model', 'shrinking', '--max-length', '16'], {
      cwd,
      onError: (text) => {
        if (text.includes('step 1/')) truncateSync(join(cwd, 'shrinking', 'model.safetensors'), 100)
      },
    })
    expect(ended.signal).toBe('SIGBUS')
    expect(ended.stderr.trimEnd().split('\n').at(-1)).toBe(suddenEnd('shrunk'))
  })

  it('twice ends the process at once by the signal, and its last checkpoint is whole', async () => {
    const words = 'good fine great film '.repeat(25)
    await writeFile(join(cwd, 'long.tsv'), ['text\tlabel', ...Array.from({ length: 200 }, (_, i) => `${words}${i}\t${i % 2}`)].join('\n'))
    const slow = ['--model', embeddedModel, '--task', 'long.tsv', '--max-length', '128', '--batch-size', '64', '--save-steps', '1'] // seconds a step
    let signals = 0
    const killed = await salora([...args('twice'), ...slow], {
      cwd,
      onError: (text, child) => {
        if (signals === 0 && text.includes('step 1/')) {
          signals = 1
          setTimeout(() => child.kill('SIGINT'), 400) // the step's state is saved and the next has begun
        }
        if (signals === 1 && text.includes('stopping after this step')) {
          signals = 2
          setTimeout(() => child.kill('SIGINT'), 150)
        }
      },
    })
    expect([killed.code, killed.signal]).toEqual([null, 'SIGINT'])
    expect(killed.stderr).not.toMatch(/terminate|Error/)
    expect((await savedState(join(cwd, 'twice'), embeddedModel)).step).toBeGreaterThan(0)
    const config = JSON.parse(await readFile(join(cwd, 'twice', 'config.json'), 'utf8')) as object
    expect(config).toHaveProperty('settings')
    expect(await readdir(join(cwd, 'twice'))).not.toContain('result.json')
  })

  it('once saves the run even if timeout or npm deliver the signal twice', async () => {
    let signals = 0
    const stopped = await salora(args('echoed'), {
      cwd,
      onError: (text, child) => {
        if ((signals === 0 && text.includes('step 1/')) || (signals === 1 && text.includes('stopping after this step'))) {
          signals += 1
          child.kill('SIGINT')
        }
      },
    })
    expect([signals, stopped.code, stopped.signal]).toEqual([2, 130, null])
    expect(stopped.stderr).toContain('; to resume: salora train --resume --output echoed\n')
  })
})

/** util-linux's program; that of macOS and BSD has other options. */
const hasScript = process.platform === 'linux' && existsSync('/usr/bin/script')

describe.skipIf(process.platform === 'win32')('a lost terminal', () => {
  const result = async (output: string) => JSON.parse(await readFile(join(cwd, output, 'result.json'), 'utf8')) as Record<string, unknown>

  it.each<readonly [string, readonly NodeJS.Signals[], number]>([
    ['SIGHUP', ['SIGHUP'], 129],
    ['SIGHUP twice, from the kernel and from the shell', ['SIGHUP', 'SIGHUP'], 129],
    ['SIGTERM and SIGHUP, as at the end of a session', ['SIGTERM', 'SIGHUP'], 143],
  ])('a terminal lost with %s finishes the step and saves the run, which can be resumed', async (_what, signals, code) => {
    const output = signals.join('-')
    let at = 0
    const stopped = await salora(args(output), {
      cwd,
      onError: (text, child) => {
        const next = at === 0 ? text.includes('step 1/') : text.includes('stopping after this step')
        if (next && at < signals.length) child.kill(signals[at++])
      },
    })
    expect([stopped.code, stopped.signal]).toEqual([code, null])
    const step = Number(/^stopped after step (\d+) of 300$/m.exec(stopped.stdout)?.[1])
    expect((await saved(output)).step).toBe(step)
  })

  it.skipIf(!hasScript)('does not keep the run from saving, although nobody reads its messages', async () => {
    // so long that it cannot end while this process waits for its turn
    const command = [process.execPath, program, ...args('closed'), '--max-steps', '100000'].join(' ')
    const terminal = spawn('/usr/bin/script', ['-qefc', command, '/dev/null'], { cwd, stdio: ['pipe', 'pipe', 'ignore'] })
    let shown = ''
    for await (const piece of terminal.stdout) {
      shown += String(piece)
      if (/training .* [1-9]\d*\/100/.test(shown)) break
    }
    terminal.kill('SIGKILL') // the other end of the terminal is gone
    await expect.poll(async () => (await result('closed').catch(() => null))?.['interrupted']).toBe(true)
    expect((await saved('closed')).step).toBe((await result('closed'))['stepsDone'])
  })

  it('a closed pipe does not stop the run', async () => {
    const finished = await salora(args('unread'), {
      cwd,
      onError: (text, child) => {
        if (text.includes('trainable parameters')) child.stderr?.destroy()
      },
    })
    expect([finished.code, finished.signal]).toEqual([0, null])
    expect(await result('unread')).toMatchObject({ interrupted: false, steps })
  })
})

describe.skipIf(process.platform === 'win32')('a full disk', () => {
  it('ends the run with one line and a whole checkpoint, and --resume continues once there is room', async () => {
    const full = await salora([...args('full'), '--quiet'], { cwd, largestFile: 60 })
    expect(full.code).toBe(1)
    expect(full.stderr).toMatch(/^full[^:]*: expected [^:]*, got EFBIG: file too large, write\n$/)
    expect((await readdir(join(cwd, 'full'), { recursive: true })).filter((name) => name.includes('partial'))).toEqual([])
    const kept = await saved('full')
    expect(kept.step).toBeGreaterThan(0)

    const resumed = await salora(['train', '--resume', '--output', 'full'], { cwd })
    expect(resumed.code).toBe(0)
    expect(resumed.stderr).toContain(`resuming after step ${kept.step} of 300`)
  })

  it('keeps the earlier checkpoint and no part of the next one', async () => {
    // with log θ and λ, from step 60 on, a checkpoint has 51,404 bytes instead of 50,200
    const full = await salora([...args('small'), '--quiet'], { cwd, largestFile: 50 })
    expect(full.code).toBe(1)
    expect(full.stderr).toBe('small/checkpoints/step-000000080.safetensors: expected to write the file, got EFBIG: file too large, write\n')
    expect((await readdir(join(cwd, 'small', 'checkpoints'))).sort()).toEqual(
      [40, 60].flatMap((step) => [`step-0000000${step}.safetensors`, `step-0000000${step}.safetensors.sha256`]),
    )
    expect((await saved('small')).step).toBe(60)
  })
})

describe('salora push', () => {
  useUploadHub()

  it('killed at each of its requests, leaves the repository as it was or complete, and sends what is missing the next time', async () => {
    const source = join(cwd, 'tiny')
    const environment = { HF_ENDPOINT: hub.url, HF_HOME: join(cwd, 'home'), HF_HUB_OFFLINE: '', HF_TOKEN: token }
    const push = (onStart: (child: ChildProcess) => void = () => undefined) =>
      salora(['push', 'tiny', 'me/tiny', '--quiet'], { cwd, environment, onStart })
    const kills: string[] = []
    for (let [killed, request] = [true, 1]; killed; request++) {
      hub.repositories.clear()
      hub.objects.clear()
      hub.arrived.length = 0
      let child: ChildProcess | undefined
      hub.intercept = ({ line }) => {
        if (lines().length === request) {
          child?.kill('SIGKILL')
          kills.push(line)
        }
        return false // answered, to nobody
      }
      const { signal } = await push((started) => (child = started))
      killed = signal === 'SIGKILL'
      hub.intercept = () => false
      const left = [...(hub.repositories.get('me/tiny')?.branches.get('main')?.keys() ?? [])]
      expect((await push()).code).toBe(0)
      for (const [name, bytes] of filesOf('me/tiny')) expect(bytes.equals(await readFile(join(source, name))), name).toBe(true)
      expect([0, filesOf('me/tiny').size]).toContain(left.length)
      expect(hub.arrived.filter(({ line }) => line.includes('/commit/')).length).toBe(1)
    }
    expect(kills.some((line) => line.startsWith('PUT /storage/'))).toBe(true)
    expect(kills.some((line) => line.includes('/commit/'))).toBe(true)
  })
})
