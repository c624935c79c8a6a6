/** What a run logs: metrics.jsonl after a resume, the event file of TensorBoard, and the names of its numbers. */
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { withEventFile } from '../../../finetuning/run/eventFile.js'
import { toScalars } from '../../../finetuning/run/metricsLine.js'
import { openMetricsLog } from '../../../finetuning/run/metricsLog.js'
import { openingRecords, openings, scalarRecord, wallTimes } from '../../../finetuning/run/tensorBoardEvents.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('metrics')
let file = ''
beforeAll(async () => {
  file = join(root, 'metrics.jsonl')
})

const lines = fc.array(
  fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => JSON.stringify(text)),
  { maxLength: 12 },
)

describe('a reopened metrics log', () => {
  it('keeps the lines before the checkpoint, drops later lines and a truncated last line, and counts the missing ones', async () => {
    await fc.assert(
      fc.asyncProperty(lines, lines, fc.nat(3), fc.constantFrom('', '{"kind":"st'), async (before, after, missing, torn) => {
        const text = (some: readonly string[]): string => some.map((line) => `${line}\n`).join('')
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

const { folder } = temporaryFolder('event-file')
const future = 9_999_999_990 // seconds since 1970
const nameAt = (seconds: number): string => `events.out.tfevents.${seconds}.salora`

/** A run with two logged steps, whose event file is named by a later moment than now. */
const resumed = async (): Promise<string> => {
  const output = await mkdtemp(join(folder, 'run-'))
  await writeFile(join(output, 'metrics.jsonl'), [1, 2].map((step) => `{"kind":"step","step":${step},"loss":${step}}\n`).join(''))
  const records = [openingRecords(100), scalarRecord(101, 1, [['train/loss', 1]]), scalarRecord(102, 2, [['train/loss', 2]])]
  await writeFile(join(output, nameAt(future)), Buffer.concat(records))
  return output
}

describe('the event file of a resumed run', () => {
  it('has a name of its own, after that of the old one, which is removed', async () => {
    const output = await resumed()
    const log = await withEventFile(await openMetricsLog(output, 2), output, false)
    await log.flush()
    expect((await readdir(output)).sort()).toEqual([nameAt(future + 1), 'metrics.jsonl'].sort())
  })

  it('has the times of the kept lines, and those of the lines to come', async () => {
    const output = await resumed()
    const log = await withEventFile(await openMetricsLog(output, 1), output, false)
    log.append({ kind: 'step', step: 2 })
    const before = Date.now() / 1000
    await log.flush()
    const times = wallTimes(await readFile(join(output, nameAt(future + 1))))
    expect(times.slice(0, openings + 1)).toEqual([100, 100, 101])
    expect(times.length).toBe(openings + 2)
    expect(Math.abs((times.at(-1) ?? 0) - before)).toBeLessThan(60)
  })
})

it('steps, evaluations and tests have names of their own, without the step and what is no number', () => {
  expect(toScalars({ kind: 'step', step: 3, loss: 0.5, density: null, note: 'x' })).toEqual([['train/loss', 0.5]])
  const scores = { loss: 1, accuracy: 0.75, f1: null }
  for (const kind of ['evaluation', 'test'])
    expect(toScalars({ kind, step: 3, scores, best: true })).toEqual([
      [`${kind}/loss`, 1],
      [`${kind}/accuracy`, 0.75],
    ])
  expect(toScalars({ kind: 'prune', step: 3, scores })).toEqual([])
})
