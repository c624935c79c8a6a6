/** Errors in files and folders: one line that names the file, exit code 1, and no stack trace. Those that a line of text can make are in mistakes.txt. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises'
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

  it('a row that is not UTF-8', async () => {
    await writeFile(join(cwd, 'latin.tsv'), Buffer.from('text\tlabel\na\tgood\ncaf\xe9\tbad\n', 'latin1'))
    expect(await mistake([...train, '--task', 'latin.tsv'])).toBe(
      '@/latin.tsv, row 3: expected text in UTF-8 (or --encoding windows-1252), got bytes that are not UTF-8',
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
  const query = 'roberta.encoder.layer.0.attention.self.query.weight'

  it('truncated safetensors', async () => {
    const valid = writeSafetensors(tinyTensors())
    expect(await withModel('cut', { 'model.safetensors': valid.subarray(0, valid.length - 100) })).toMatch(
      /^@\/cut\/model\.safetensors: expected .*, got .*$/,
    )
  })

  it('a header longer than the file', async () => {
    const valid = Buffer.from(writeSafetensors(tinyTensors()))
    valid.writeBigUInt64LE(BigInt(valid.length), 0)
    expect(await withModel('long', { 'model.safetensors': valid })).toMatch(/^@\/long\/model\.safetensors: expected .*, got .*$/)
  })

  it('a tensor of the wrong shape', async () => {
    const tensors = tinyTensors().set(query, { shape: [16, 8], data: new Float32Array(128) })
    expect(await withModel('shape', { 'model.safetensors': writeSafetensors(tensors) })).toMatch(
      /^@\/shape\/model\.safetensors: expected tensor roberta\.encoder\.layer\.0\.attention\.self\.query\.weight of shape \[16, ?16\], got \[16, ?8\]$/,
    )
  })

  it('a weight that is not finite', async () => {
    const tensors = tinyTensors()
    const data = Float32Array.from(tensors.get(query)?.data ?? [])
    data[35] = NaN
    tensors.set(query, { shape: [16, 16], data })
    expect(await withModel('nan', { 'model.safetensors': writeSafetensors(tensors) })).toMatch(
      /^@\/nan\/model\.safetensors: expected finite float32 numbers in roberta\.encoder\.layer\.0\.attention\.self\.query\.weight, got NaN at \[2, ?3\]$/,
    )
  })
})

describe('a folder that cannot be used exits with 1 and names it', () => {
  it('--output that has an earlier run, which stays unchanged', async () => {
    await mkdir(join(cwd, 'earlier'))
    const config = JSON.stringify({ formatVersion: 2, model: 'm', task: {}, settings: {} })
    await writeFile(join(cwd, 'earlier', 'config.json'), config)
    expect(await mistake([...train, '--output', 'earlier'])).toBe(
      '--output earlier: expected a new folder (or --resume to continue the run in it), got config.json of an earlier run',
    )
    expect(await readFile(join(cwd, 'earlier', 'config.json'), 'utf8')).toBe(config)
  })

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
