/** Ctrl-C: once ends a run after its step and keeps it; twice leaves at once and harms no file. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newestCheckpoint } from '../../accelerated/training/checkpointFile.js'
import { salora } from './spawnSalora.js'
import { writeTinyModel } from './tinyModel.js'
import { toyFile } from './toyTask.js'

let cwd = ''
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'salora-cli-'))
  await writeTinyModel(join(cwd, 'tiny'))
  await writeFile(join(cwd, 'toy.tsv'), toyFile(40))
})
afterAll(() => rm(cwd, { recursive: true }))

const steps = 600
const args = (output: string): ReadonlyArray<string> =>
  ['train', '--model', 'tiny', '--task', 'toy.tsv', '--max-length', '16', '--batch-size', '4', '--max-steps', String(steps), '--save-every', '20', '--eval-every', '1000', '--device', 'cpu', '--output', output]

describe('Ctrl-C', () => {
  it('once: the step ends, the run is saved, the exit code is 130, and --resume carries on to the end', async () => {
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
    const step = Number(/^stopped after step (\d+) of 600$/m.exec(stopped.stdout)?.[1])
    expect(step).toBeGreaterThan(0)
    expect(step).toBeLessThan(steps)
    expect(stopped.stderr).toContain('stopping after this step and saving; once more leaves at once\n')
    expect(stopped.stderr).toContain('go on with: salora train --resume --output once\n')
    expect((await newestCheckpoint(join(cwd, 'once', 'checkpoints'), () => undefined))?.state.step).toBe(step)

    const resumed = await salora(['train', '--resume', '--output', 'once'], { cwd })
    expect(resumed.code).toBe(0)
    expect(resumed.stderr).toContain(`going on after step ${step} of 600`)
    expect(JSON.parse(await readFile(join(cwd, 'once', 'result.json'), 'utf8'))).toMatchObject({ interrupted: false, steps })
    const lines = (await readFile(join(cwd, 'once', 'metrics.jsonl'), 'utf8')).trimEnd().split('\n').map((line) => JSON.parse(line) as { kind: string; step: number })
    expect(lines.filter(({ kind }) => kind === 'step').map((line) => line.step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1))
  })

  it('twice: the process is gone at once, by the signal, and what it saved before is whole', async () => {
    let signals = 0
    const killed = await salora(args('twice'), {
      cwd,
      onError: (text, child) => {
        if ((signals === 0 && text.includes('step 3')) || (signals === 1 && text.includes('stopping after this step'))) {
          signals += 1
          child.kill('SIGINT')
        }
      },
    })
    expect([killed.code, killed.signal]).toEqual([null, 'SIGINT'])
    expect(killed.stderr).not.toMatch(/terminate|Error/)
    const damaged: string[] = []
    await newestCheckpoint(join(cwd, 'twice', 'checkpoints'), (message) => damaged.push(message))
    expect(damaged).toEqual([])
    const config = JSON.parse(await readFile(join(cwd, 'twice', 'config.json'), 'utf8')) as object
    expect(config).toHaveProperty('settings')
    expect(await readdir(join(cwd, 'twice'))).not.toContain('result.json')
  })
})
