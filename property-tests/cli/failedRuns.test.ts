/** What failed in a sweep is told once for each message, whichever runs have it. */
import { expect, it } from 'vitest'
import { failedRuns } from '../../cli/format/failedRuns.js'

it('a message is told once, by its first run, how many others have it, and the most attempts; another message has a line of its own', () => {
  expect(
    failedRuns([
      { cell: 'mrpc.lora.seed-0', message: 'no MRPC', attempts: 1 },
      { cell: 'cola.lora.seed-0', message: 'no memory', attempts: 1 },
      { cell: 'mrpc.lora.seed-1', message: 'no MRPC', attempts: 3 },
      { cell: 'mrpc.lora.seed-2', message: 'no MRPC', attempts: 2 },
    ]),
  ).toEqual(['mrpc.lora.seed-0 and 2 more runs failed (3 attempts): no MRPC', 'cola.lora.seed-0 failed (1 attempt): no memory'])
  expect(failedRuns([])).toEqual([])
})
