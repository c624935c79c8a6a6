/** A sweep on the queue says that no worker is connected: once, and again after one came and left. */
import { expect, it } from 'vitest'
import type { RunCell } from '../../../evaluation/jobs/jobFolder.js'
import { queueName } from '../../../evaluation/jobs/queuedJob.js'
import { watchWorkers } from '../../../evaluation/jobs/queueExecutor.js'
import { versions } from '../../../finetuning/run/versions.js'

const cell = { id: 'cola.lora.seed-0' } as RunCell

/** What is said while these many workers are connected, look by look; null: Redis does not say. */
const saidFor = async (counts: readonly (number | null)[], redis = 'redis://here:6379'): Promise<readonly string[]> => {
  const said: string[] = []
  const left = [...counts]
  const report = watchWorkers(
    {
      getWorkersCount: async () => {
        const count = left.shift() ?? null
        if (count === null) throw new Error('ERR unknown command CLIENT')
        return count
      },
    },
    { redis, onEvent: (event) => said.push(event.kind === 'waiting' ? event.reason : event.kind) },
  )
  for (const _ of counts) await report(cell)
  return said
}
const line = `no worker of salora ${versions['salora']} is connected (salora worker --redis redis://here:6379)`

it('says so once until a worker comes, then that there is one, and again when the last one has left', async () => {
  const connected = 'a worker has connected'
  expect(await saidFor([0, 0, 0])).toEqual([line])
  expect(await saidFor([0, 2, 1, 0, 0])).toEqual([line, connected, line])
  expect(await saidFor([0, null, 0, null, 1])).toEqual([line, connected])
  expect(await saidFor([1, 1])).toEqual([])
})

it('says nothing where Redis does not list its clients, or where no cell waits', async () => {
  expect(await saidFor([null, null])).toEqual([])
  const said: string[] = []
  await watchWorkers({ getWorkersCount: async () => 0 }, { redis: 'redis://here', onEvent: ({ kind }) => said.push(kind) })(undefined)
  expect(said).toEqual([])
})

it('does not print the password', async () => {
  expect((await saidFor([0], 'redis://user:secret@here:6379'))[0]).toBe(line)
})

it('has a queue for each version of salora', () => expect(queueName).toBe(`salora-sweeps-${versions['salora']}`))
