/** The server's limits and counts as functions: clients that have gone, the number of texts, and the histogram of durations. */
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { withinTime } from '../../finetuning/use/serving/http/limits.js'
import { openMetrics } from '../../finetuning/use/serving/http/serverMetrics.js'

describe('a request within its time', () => {
  it('has an aborted signal and its refusal at once if the client has gone before it begins', async () => {
    let isAborted = false
    const work = (signal: AbortSignal): Promise<never> => {
      isAborted = signal.aborted
      return new Promise(() => undefined)
    }
    await expect(withinTime(60_000, AbortSignal.abort(), work)).rejects.toMatchObject({ status: 499, message: 'the client has gone' })
    expect(isAborted).toBe(true)
  })

  it('ends with 504 after its time, and with its result before', async () => {
    const never = new AbortController().signal
    await expect(withinTime(5, never, () => new Promise(() => undefined))).rejects.toMatchObject({ status: 504 })
    expect(await withinTime(60_000, never, async () => 7)).toBe(7)
  })
})

describe('a request of many texts', () => {
  it('listens to its signal with each of them, and Node prints no warning of a leak', async () => {
    const warnings: string[] = []
    const note = ({ name }: Error): number => warnings.push(name)
    process.on('warning', note)
    const listen = (signal: AbortSignal): Promise<void> => {
      for (let text = 0; text < 128; text++) signal.addEventListener('abort', () => undefined)
      return pause(1) // a warning is printed in a later turn
    }
    await withinTime(60_000, new AbortController().signal, listen)
    process.off('warning', note)
    expect(warnings).toEqual([])
  })
})

describe('the histogram of durations', () => {
  it('counts each request in all buckets from its duration on, the bound itself included', () => {
    const metrics = openMetrics()
    for (const seconds of [0.1, 0.1, 3, 100]) metrics.request('/classify', 200, seconds)
    const lines = metrics.text({}).split('\n')
    const bucket = (le: string) =>
      lines
        .find((line) => line.includes(`le="${le}"`))
        ?.split(' ')
        .at(-1)
    expect(['0.05', '0.1', '0.25', '2.5', '5', '60', '+Inf'].map(bucket)).toEqual(['0', '2', '2', '2', '3', '3', '4'])
    expect(lines).toContain('salora_request_seconds_sum{path="/classify"} 103.2')
    expect(lines).toContain('salora_request_seconds_count{path="/classify"} 4')
  })
})
