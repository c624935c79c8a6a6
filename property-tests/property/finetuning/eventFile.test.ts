/** The event file of a resumed run: a new file with the times of the old one, which it replaces. */
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withEventFile } from '../../../finetuning/runs/eventFile.js'
import { openMetricsLog } from '../../../finetuning/runs/metricsLog.js'
import { openings, openingRecords, scalarRecord, wallTimes } from '../../../finetuning/runs/tensorBoardEvents.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

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
