/** The board's reading of the queue: a job that changes its kind meanwhile counts once, where it is now. */
import { describe, expect, it } from 'vitest'
import { readQueue, type JobQueue } from '../../reporting/board/queueState.js'
import { jobKinds, type JobKind } from '../../reporting/board/events.js'

const address = 'redis://127.0.0.1:6379'
const job = { id: '1', data: { cell: { id: 'a' }, output: '/sweep' } }
const moves: readonly (readonly [JobKind, JobKind])[] = [
  ['waiting', 'active'],
  ['active', 'failed'],
  ['active', 'delayed'],
  ['delayed', 'waiting'],
  ['failed', 'waiting'],
]

/** A queue of one job, which moves after `before` of the requests have reached Redis. Redis answers after all that were sent at once. */
const movingQueue = (from: JobKind, to: JobKind, before: number): JobQueue => {
  let requests = 0
  const kindNow = (): JobKind => (requests++ < before ? from : to)
  const answered = <A>(value: A): Promise<A> => new Promise((resolve) => setTimeout(resolve, 1, value))
  return {
    getJobCounts: () => answered({ [kindNow()]: 1 }),
    getJobs: (kinds) => answered(kinds.includes(kindNow()) ? [job] : []),
  }
}

describe('the state of the queue', () => {
  it.each(moves)('counts a job at most once that goes from %s to %s between two requests', async (from, to) => {
    for (let before = 0; before <= 2 * jobKinds.length; before++) {
      const { sweeps, inspected, failures } = await readQueue(movingQueue(from, to, before), address)
      const counted = sweeps.flatMap((sweep) => jobKinds.map((kind) => sweep[kind])).reduce((sum, count) => sum + count, 0)
      expect(counted, `${before} requests before`).toBeLessThanOrEqual(1)
      expect(inspected).toBeNull()
      expect(failures.length).toBe(sweeps.reduce((sum, { failed }) => sum + failed, 0))
    }
  })

  it('has the newest ten failures of many, and says whether jobs are left that it did not inspect', async () => {
    const failed = (count: number) =>
      Array.from({ length: Math.min(count, 1_000) }, (_, i) => ({
        id: `${i}`,
        data: { output: '/sweep', cell: { id: `c${i}` } },
        failedReason: 'no',
      }))
    const stateOf = (count: number) =>
      readQueue(
        { getJobCounts: async () => ({ failed: count }), getJobs: async ([kind]) => (kind === 'failed' ? failed(count) : []) },
        address,
      )
    const [all, more] = [await stateOf(1_000), await stateOf(1_001)]
    expect(all.failures).toEqual(Array.from({ length: 10 }, (_, i) => ({ cell: `c${i}`, reason: 'no' })))
    expect([all.counts?.failed, all.sweeps[0]?.failed, all.inspected]).toEqual([1_000, 1_000, null])
    expect([more.counts?.failed, more.sweeps[0]?.failed, more.inspected]).toEqual([1_001, 1_000, 1_000])
  })

  it('asks for all kinds at once, so that no job slips from a kind that is not read yet into one that was', async () => {
    let open = 0
    let most = 0
    const request = async <A>(value: A): Promise<A> => {
      most = Math.max(most, ++open)
      await new Promise((resolve) => setTimeout(resolve, 1))
      open--
      return value
    }
    await readQueue({ getJobCounts: () => request({}), getJobs: () => request([]) }, address)
    expect(most).toBe(1 + jobKinds.length)
  })
})
