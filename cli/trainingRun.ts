/** One run as the terminal shows it: progress while it goes, Ctrl-C, the closing summary. */
import { join } from 'node:path'
import { mistake, reason } from '../accelerated/files/mistake.js'
import { readText } from '../accelerated/files/jsonText.js'
import { finetune } from '../evaluation/finetune.js'
import type { FinetuneOptions, RunResult } from '../evaluation/run.js'
import { parseRunResult, runFileLimit } from '../evaluation/storedRun.js'
import { exitCodes } from './exitCodes.js'
import { watchInterrupt, type Interrupt } from './interrupt.js'
import { openProgress } from './progress.js'
import { resumeCommand, summaryText } from './summary.js'
import type { Terminal } from './terminal.js'

/** → the exit code. With --json the document is result.json with the scores before training, where they were measured. */
export const trainingRun = async (options: FinetuneOptions, terminal: Terminal): Promise<number> => {
  const finished = options.resume ? await finishedResult(options.output) : null
  if (finished !== null) {
    terminal.note(`${options.output}: this run is finished; nothing is left to do`)
    terminal.result(summaryText(finished, null, terminal), finished)
    return exitCodes.success
  }
  const progress = openProgress(terminal)
  let begun = false
  const interrupt = watchInterrupt(
    () => progress.say(begun ? 'stopping after this step and saving; once more leaves at once' : 'stopping before the first step'),
    progress.close,
  )
  let before: Readonly<Record<string, number>> | null = null
  let result: RunResult | null = null
  try {
    for await (const event of finetune(options, { signal: interrupt.signal })) {
      progress.show(event)
      if (event.kind === 'ready') begun = true
      if (event.kind === 'evaluation' && event.step === 0) before = event.scores
      if (event.kind === 'result') result = event.result
    }
  } catch (error) {
    if (interrupt.signal.aborted && !begun) return stoppedEarly(options, interrupt, terminal) // what it was doing says so in its own way
    throw isSystemError(error) ? mistake(options.output, "to write the run's files", reason(error)) : error
  } finally {
    progress.close()
    interrupt.release()
  }
  if (result === null && interrupt.signal.aborted && !begun) return stoppedEarly(options, interrupt, terminal)
  if (result === null) throw new Error('trainingRun: expected a result as the last event, found none')
  terminal.result(summaryText(result, before, terminal), before === null ? result : { ...result, before })
  if (result.interrupted)
    terminal.note(
      `stopped by a signal; ${options.output} holds the state after step ${result.last.step}; go on with: ${resumeCommand(options.output)}`,
    )
  return result.interrupted ? (interrupt.exitCode() ?? exitCodes.interrupted) : exitCodes.success
}

const stoppedEarly = ({ output, resume }: FinetuneOptions, { exitCode }: Interrupt, { note }: Terminal): number => {
  note(`stopped by a signal before the first step; ${resume ? `${output} is as it was` : 'nothing was trained'}`)
  return exitCode() ?? exitCodes.interrupted
}

/** The system's own word for a full or broken disk, as it comes out of the training thread. */
const isSystemError = (error: unknown): boolean => /^(ENOSPC|EDQUOT|EFBIG|EIO|EROFS|EACCES|EPERM|EMFILE|ENOENT): /.test(reason(error))

/** result.json of a run that came to its end; null where there is none, or a signal stopped it. */
const finishedResult = async (output: string): Promise<RunResult | null> => {
  try {
    const file = join(output, 'result.json')
    const result = parseRunResult(await readText(file, runFileLimit), file)
    return result.interrupted === false ? result : null
  } catch {
    return null // the run goes on from its checkpoint and writes it anew
  }
}
