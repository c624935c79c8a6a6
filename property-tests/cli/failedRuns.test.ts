/** The failures of a sweep: one line per message. */
import { expect, it } from 'vitest'
import { failedRuns } from '../../cli/terminal/sweepProgress.js'

it('runs that fail with the same message share a line with the first run, the number of others and the most attempts', () => {
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
