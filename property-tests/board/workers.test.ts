/** The board shows who computes parts of a run, from its workers.json: while it is running, and never from a damaged or hostile file. */
import { rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openWatch } from '../../reporting/board/watch.js'
import { runView } from '../../reporting/board/views.js'
import { readWorkers, workersWriter } from '../../finetuning/run/workersFile.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('workers')
const at = (...path: readonly string[]): string => join(folder, ...path)

it('shows the workers of a running run, and what a damaged file has is not shown', async () => {
  await writeRun(at('runs/spread'), {})
  const result = at('runs/spread/result.json')
  await rm(result)
  const lock = { host: 'elsewhere', boot: 'another', numbers: 'pid:[1]', pid: 5, born: '1', thread: 1 }
  await writeFile(at('runs/spread/lock-0123456789ab.json'), JSON.stringify(lock))
  const watch = openWatch(at('runs'))
  const numbersNow = async () => {
    await watch.refresh()
    const [run] = [...watch.runs().values()]
    return run === undefined ? {} : Object.fromEntries(runView(run, null).numbers)
  }
  expect(await numbersNow()).not.toHaveProperty('workers')

  const [write, now] = [workersWriter(at('runs/spread'), undefined, () => time), { step: 7, workers: 3, partsPerSecond: 2.5 }]
  let time = 0
  await write({ ...now, slowest: { worker: 'process 9 on \u0007there', seconds: 1.234 } })
  expect(await numbersNow()).toMatchObject({
    workers: 3,
    'parts per second': 2.5,
    'slowest worker': '1.23 s a part (process 9 on \\u0007there)',
  })
  time = 4_999
  await write({ ...now, workers: 1, slowest: null }) // too early for another
  expect(await numbersNow()).toMatchObject({ workers: 3 })
  time = 5_000
  await write({ ...now, workers: 1, slowest: null })
  expect(await readWorkers(at('runs/spread'))).toEqual({ ...now, workers: 1, slowest: null })
  expect(await numbersNow()).not.toHaveProperty('slowest worker')

  await writeFile(at('runs/spread/workers.json'), '{"workers": 3')
  expect(await numbersNow()).not.toHaveProperty('workers')
  await rm(at('runs/spread/workers.json'))
  await writeFile(at('outside.json'), JSON.stringify({ ...now, workers: 8, slowest: null }))
  await symlink(at('outside.json'), at('runs/spread/workers.json'))
  expect(await numbersNow()).not.toHaveProperty('workers')

  await rm(at('runs/spread/workers.json'))
  time = 20_000
  await write({ ...now, slowest: null })
  expect(await numbersNow()).toHaveProperty('workers')
  await rename(at('runs/spread/lock-0123456789ab.json'), at('lock.json')) // it has failed
  expect(await numbersNow()).not.toHaveProperty('workers')
})
