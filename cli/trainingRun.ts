/** One run as the terminal shows it: progress while it goes, Ctrl-C, the closing summary. */
import { finetune } from '../evaluation/finetune.js'
import type { FinetuneOptions, RunResult } from '../evaluation/finetuneJob.js'
import { exitCodes } from './exitCodes.js'
import { watchInterrupt } from './interrupt.js'
import { openProgress } from './progress.js'
import { resumeCommand, summaryText } from './summary.js'
import type { Terminal } from './terminal.js'

/** → the exit code. With --json the document is result.json with the scores before training, where they were measured. */
export const trainingRun = async (options: FinetuneOptions, terminal: Terminal): Promise<number> => {
  const progress = openProgress(terminal)
  const interrupt = watchInterrupt(progress.say)
  let before: Readonly<Record<string, number>> | null = null
  let result: RunResult | null = null
  try {
    for await (const event of finetune(options, { signal: interrupt.signal })) {
      progress.show(event)
      if (event.kind === 'evaluation' && event.step === 0) before = event.scores
      if (event.kind === 'result') result = event.result
    }
  } finally {
    progress.close()
    interrupt.release()
  }
  if (result === null) throw new Error('trainingRun: expected a result as the last event, found none')
  terminal.result(summaryText(result, before, terminal), before === null ? result : { ...result, before })
  if (result.interrupted) terminal.note(`stopped by a signal; ${options.output} holds the state after step ${result.last.step}; go on with: ${resumeCommand(options.output)}`)
  return result.interrupted ? (interrupt.exitCode() ?? exitCodes.interrupted) : exitCodes.success
}
