/** Errors in files and folders: one line that names the file, exit code 1, and no stack trace. Those that a line of text can make are in mistakes.txt. */
import { existsSync } from 'node:fs'
import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { runConfig, runResult } from '../hostile/validFiles.js'
import { saloraIn } from './inProcess.js'
import { salora } from './spawnSalora.js'
import { toyFolder } from './toyFolder.js'
import { writeAdapter } from './tinyAdapter.js'
import { tinyTensors, writeTinyModel } from './tinyModel.js'
import { toyFile } from './toyTask.js'

const cwd = toyFolder('mistake')

/** The one line on standard error, with this run's folder as `@`. */
const mistake = async (args: readonly string[]): Promise<string> => {
  const finished = await saloraIn(args, { cwd })
  expect(finished.stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(finished.stderr).not.toMatch(/^\s+at /m)
  expect(finished.stdout).toBe('')
  expect(finished.code).toBe(1)
  return finished.stderr.trimEnd().replaceAll(cwd, '@')
}

const train = 'train --quiet --model tiny --task toy.tsv --max-length 16 --max-steps 6 --device cpu'.split(' ')

describe('an error in a file exits with 1 and names the file', () => {
  it('a label that is too long', async () => {
    await writeFile(join(cwd, 'long.tsv'), toyFile(40).replaceAll(/\tbad$/gm, `\t${'x'.repeat(1500)}`))
    expect(await mistake([...train, '--task', 'long.tsv'])).toBe(
      `@/long.tsv: expected labels of at most 1000 characters, got one of 1500: "${'x'.repeat(40)}…"`,
    )
  })
})

describe.skipIf(!existsSync('/dev/full'))('standard output on a full disk', () => {
  it.each([
    ['rank-pattern', '--force', '--run', 'ranked'],
    ['predict', '--model', 'tiny', '--adapter', 'adapter'],
  ])('ends salora %s with exit code 1 and one line', async (...args) => {
    await writeAdapter(join(cwd, 'adapter'), join(cwd, 'tiny'), ['bad', 'good'])
    await mkdir(join(cwd, 'ranked'), { recursive: true })
    await writeFile(join(cwd, 'ranked', 'config.json'), JSON.stringify(runConfig))
    await writeFile(join(cwd, 'ranked', 'result.json'), JSON.stringify(runResult))
    const finished = await salora(args, { cwd, input: 'a film\n'.repeat(100), output: '/dev/full' })
    expect([finished.code, finished.stderr]).toEqual([
      1,
      'standard output: expected to write to it, got ENOSPC: no space left on device, write\n',
    ])
  })
})

describe('an error in a model exits with 1 and names the file', () => {
  const withModel = async (name: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<string> => {
    await writeTinyModel(join(cwd, name), files)
    return mistake([...train, '--model', name])
  }

  it('truncated safetensors', async () => {
    const valid = writeSafetensors(tinyTensors())
    expect(await withModel('cut', { 'model.safetensors': valid.subarray(0, valid.length - 100) })).toMatch(
      /^@\/cut\/model\.safetensors: expected .*, got .*$/,
    )
  })
})

describe('a folder that cannot be used exits with 1 and names it', () => {
  it('--run that is in a run, or around runs: that run, or the newest, is suggested', async () => {
    const config = JSON.stringify({ formatVersion: 2, model: 'm', task: {}, settings: {} })
    for (const [name, seconds] of [
      ['older', 1_000],
      ['newest', 3_000],
      ['old', 2_000],
    ] as const) {
      await mkdir(join(cwd, 'around', name, 'adapter'), { recursive: true })
      await writeFile(join(cwd, 'around', name, 'config.json'), config)
      await utimes(join(cwd, 'around', name, 'config.json'), seconds, seconds)
    }
    const suggested = async (run: string) => /no config\.json there(.*)$/.exec(await mistake(['predict', '--run', run, '--quiet']))?.[1]
    expect(await suggested('around')).toBe(' (did you mean --run around/newest?)')
    expect(await suggested('around/old/adapter')).toBe(' (did you mean --run around/old?)')
    expect(await suggested('tiny/adapter')).toBe('')
    await mkdir(join(cwd, 'sweep', 'cells', 'lora-0'), { recursive: true })
    expect(await suggested('sweep')).toBe(' (the folder of a sweep: its runs are in sweep/cells)')
  })
})
