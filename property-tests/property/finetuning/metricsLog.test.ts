/** metrics.jsonl of a resumed run: its first lines stay byte for byte, whatever a killed process appended. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openMetricsLog } from '../../../finetuning/runs/metricsLog.js'
import { SEED } from '../../support/seed.js'

let root = ''
let file = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-metrics-'))
  file = join(root, 'metrics.jsonl')
})
afterAll(() => rm(root, { recursive: true }))

const lines = fc.array(
  fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => JSON.stringify(text)),
  { maxLength: 12 },
)

describe('a reopened metrics log', () => {
  it('keeps the lines before the checkpoint, drops later lines and a truncated last line, and counts the missing ones', async () => {
    await fc.assert(
      fc.asyncProperty(lines, lines, fc.nat(3), fc.constantFrom('', '{"kind":"st'), async (before, after, missing, torn) => {
        const text = (some: ReadonlyArray<string>): string => some.map((line) => `${line}\n`).join('')
        await writeFile(file, text(missing > 0 ? before : [...before, ...after]) + torn)
        const log = await openMetricsLog(root, before.length + missing)
        expect(log.missing).toBe(missing)
        expect(log.lines()).toBe(before.length)
        log.append({ kind: 'step', step: 7 })
        await log.flush()
        expect(await readFile(file, 'utf8')).toBe(`${text(before)}{"kind":"step","step":7}\n`)
      }),
      { seed: SEED, numRuns: 100 },
    )
  })

  it('larger than one read buffer is truncated at the right line', async () => {
    const long = Array.from({ length: 30 }, (_, i) => `"${String(i).padStart(100_000, '.')}"\n`)
    await writeFile(file, long.join(''))
    expect((await openMetricsLog(root, 40)).missing).toBe(10)
    expect((await openMetricsLog(root, 25)).missing).toBe(0)
    expect(await readFile(file, 'utf8')).toBe(long.slice(0, 25).join(''))
  })

  it('replaces a dangling link, and never changes a file outside the run through a link', async () => {
    const inner = await mkdtemp(join(root, 'run-'))
    await writeFile(join(root, 'diary'), 'a\nb\n')
    await symlink(join(root, 'diary'), join(inner, 'metrics.jsonl'))
    await expect(openMetricsLog(inner, 1)).rejects.toThrow(/metrics\.jsonl: expected a file within .*, got a link to .*diary$/)
    await rm(join(inner, 'metrics.jsonl'))
    await symlink(join(root, 'nothing'), join(inner, 'metrics.jsonl'))
    const log = await openMetricsLog(inner, 1)
    log.append({ kind: 'step', step: 1 })
    await log.flush()
    expect(await readFile(join(root, 'diary'), 'utf8')).toBe('a\nb\n')
    await expect(readFile(join(root, 'nothing'))).rejects.toThrow('ENOENT')
  })
})

describe('a metrics log that can no longer be written', () => {
  it('reports it in one line at every later flush, also after a group of lines that nobody awaited', async () => {
    const inner = await mkdtemp(join(root, 'run-'))
    const log = await openMetricsLog(inner, 0)
    await rm(join(inner, 'metrics.jsonl'))
    await mkdir(join(inner, 'metrics.jsonl'))
    const message = `${inner}/metrics.jsonl: expected a file that can be appended to, got EISDIR: illegal operation on a directory, open '${inner}/metrics.jsonl'`
    for (let step = 1; step <= 40; step++) log.append({ kind: 'step', step }) // two groups
    for (let i = 0; i < 2; i++) await expect(log.flush()).rejects.toMatchObject({ message: message })
  })
})
