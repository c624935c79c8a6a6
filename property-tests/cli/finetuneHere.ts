/** Set-up of the tests of commands: a run is trained in the test's own thread, since a thread cannot load the sources of TypeScript. */
import { vi } from 'vitest'
import { systemCode, systemInputError } from '../../accelerated/errors/systemError.js'
import type { FinetuneEvent, FinetuneOptions } from '../../finetuning/runs/run.js'

/** As finetune.ts, without its thread. */
async function* finetuneHere(
  options: FinetuneOptions,
  { signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<FinetuneEvent, void> {
  const { finetuneJob } = await import('../../finetuning/runs/finetuneJob.js')
  try {
    yield* finetuneJob(options, signal)
  } catch (thrown) {
    throw systemCode(thrown) === null ? thrown : systemInputError(options.output, "to write the run's files", thrown)
  }
}
vi.mock('../../finetuning/runs/finetune.js', () => ({ finetune: finetuneHere }))
