/**
 * Set-up of every test file. A run trains in the test's own thread, since Node cannot start a thread from TypeScript. Files share a process, so each
 * one leaves the environment and the working directory as it found them.
 */
import { afterAll, vi } from 'vitest'
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

/** Variables that tests set, by whose value salora finds models and its cache. */
const isOurs = (name: string): boolean => /^(HF|SALORA)_/.test(name)
const [environment, folder] = [{ ...process.env }, process.cwd()]
afterAll(() => {
  vi.unstubAllEnvs()
  for (const name of Object.keys(process.env).filter(isOurs)) if (!(name in environment)) delete process.env[name]
  for (const name of Object.keys(environment).filter(isOurs)) process.env[name] = environment[name]
  process.chdir(folder)
})
