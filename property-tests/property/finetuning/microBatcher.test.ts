/** The micro-batcher: each call gets its own answer, errors reach only their calls, and batches keep the order of calls. */
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { microBatcher, type Outcome } from '../../../finetuning/use/serving/microBatcher.js'
import { SEED } from '../../support/seed.js'

/** A call: milliseconds before it is made, and whether its item fails. */
const calls = fc.array(fc.record({ after: fc.nat({ max: 3 }), fails: fc.boolean() }), { maxLength: 40 })

describe('the micro-batcher', () => {
  it('counts the items that wait and those that run', async () => {
    const counts: number[] = []
    const batcher = microBatcher<number, number>(async (items) => {
      counts.push(batcher.pending())
      return items.map((item): Outcome<number> => ({ value: item }))
    }, 2)
    const answers = [0, 1, 2].map((item) => batcher.call(item))
    expect(batcher.pending()).toBe(3)
    expect(await Promise.all(answers)).toEqual([0, 1, 2])
    expect([counts, batcher.pending()]).toEqual([[3, 1], 0]) // two of three run, then the last one
  })

  it(`gives each call its own answer or error, in batches of the oldest items (seed ${SEED})`, async () => {
    await fc.assert(
      fc.asyncProperty(calls, fc.integer({ min: 1, max: 8 }), fc.nat({ max: 3 }), async (made, largest, duration) => {
        const batches: (readonly number[])[] = []
        let active = 0
        const batcher = microBatcher<number, string>(async (items) => {
          expect(++active).toBe(1)
          batches.push([...items])
          await pause(duration)
          active--
          return items.map(
            (item): Outcome<string> => (made[item]?.fails === true ? { error: new Error(`no ${item}`) } : { value: `is ${item}` }),
          )
        }, largest)
        const settled: number[] = []
        const answers = made.map(async ({ after }, i) => {
          await pause(after)
          return batcher.call(i).finally(() => settled.push(i))
        })
        const results = await Promise.allSettled(answers)
        expect(results.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as Error).message))).toEqual(
          made.map(({ fails }, i) => (fails ? `no ${i}` : `is ${i}`)),
        )
        expect(batches.every(({ length }) => length >= 1 && length <= largest)).toBe(true)
        expect(batches.flat().sort((a, b) => a - b)).toEqual(made.map((_, i) => i))
        expect(settled).toEqual(batches.flat()) // a call never settles before an earlier one
        expect(batcher.pending()).toBe(0)
      }),
      { seed: SEED, numRuns: 40 },
    )
  })

  it('puts the calls of one turn of the event loop into one batch', async () => {
    const sizes: number[] = []
    const batcher = microBatcher<number, number>(async (items) => {
      sizes.push(items.length)
      return items.map((value) => ({ value }))
    }, 32)
    await Promise.all(Array.from({ length: 50 }, (_, i) => batcher.call(i)))
    expect(sizes).toEqual([32, 18])
  })

  it('runs the items of a failed batch alone, so that only the call at fault fails', async () => {
    const batcher = microBatcher<number, number>(async (items) => {
      if (items.includes(2)) throw new Error('2 is at fault')
      return items.map((value) => ({ value }))
    }, 8)
    const results = await Promise.allSettled([0, 1, 2, 3].map((item) => batcher.call(item)))
    expect(results.map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason)))).toEqual([0, 1, 'Error: 2 is at fault', 3])
  })

  it('drops a waiting item whose signal is aborted, and resolves idle after the last call', async () => {
    const seen: number[] = []
    const batcher = microBatcher<number, number>(async (items) => {
      seen.push(...items)
      await pause(5)
      return items.map((value) => ({ value }))
    }, 1)
    const stop = new AbortController()
    const [first, second, third] = [batcher.call(1), batcher.call(2, stop.signal), batcher.call(3)]
    stop.abort(new Error('gone'))
    await expect(second).rejects.toThrow('gone')
    await expect(batcher.call(4, stop.signal)).rejects.toThrow('gone')
    let answered = 0
    void first.then(() => answered++)
    void third.then(() => answered++)
    await batcher.idle()
    expect([seen, answered, batcher.pending()]).toEqual([[1, 3], 2, 0])
    await batcher.idle()
  })
})
