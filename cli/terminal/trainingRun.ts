/** One run on the terminal: progress, Ctrl-C, and the summary at the end. */
import { join } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { words } from '../../accelerated/errors/words.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { findMethod } from '../../accelerated/training/resolveSettings.js'
import { resumeCommand } from '../../finetuning/commandLine/shell.js'
import { finetune } from '../../finetuning/finetune.js'
import type { FinetuneEvent, RunOptions, RunResult } from '../../finetuning/run/run.js'
import { atLength, checkSameDevice, differingChoices, finishedResult, hasAdapter, suggestNewRun } from '../../finetuning/run/runFolder.js'
import { readRunConfig } from '../../finetuning/run/runFiles.js'
import { exitCodes } from './exit.js'
import { nextRunFolder, removeEmptyRun } from '../options/nextRunName.js'
import { watchInterrupt, type Interrupt, watchSuddenEnd } from './interrupt.js'
import { openProgress } from './progress.js'
import { summaryText } from '../format/summary.js'
import type { Terminal } from './output.js'
import type { TrainRequest } from '../options/trainRequest.js'

/** Lines below the summary of a finished run. */
export type Closing = (output: string) => Promise<readonly string[]>

/** @returns the exit code. The --json document is result.json, with the scores before training if they were measured. */
export const trainingRun = async (request: TrainRequest, terminal: Terminal, closing: Closing = async () => []): Promise<number> => {
  if (request.output !== null) return runInto({ ...request, output: request.output }, terminal, closing)
  const output = await nextRunFolder(request.task.task, request.settings.method)
  try {
    return await runInto({ ...request, output }, terminal, closing)
  } finally {
    await removeEmptyRun(output)
  }
}

const runInto = async (options: RunOptions, terminal: Terminal, closing: Closing): Promise<number> => {
  const finished = options.resume ? await finishedRun(options) : null
  if (finished !== null) {
    terminal.note(`${options.output}: this run is already finished (a larger --max-steps or --epochs extends it)`)
    terminal.result(summaryText(finished, null, terminal), finished)
    return exitCodes.success
  }
  const progress = openProgress(terminal)
  let begun = false
  let watched = (): void => undefined
  const interrupt = watchInterrupt(
    () =>
      progress.print(
        begun ? 'stopping after this step and saving a checkpoint; press Ctrl-C again to exit at once' : 'stopping before the first step',
      ),
    () => {
      watched()
      progress.close()
    },
  )
  const evaluations: Array<Extract<FinetuneEvent, { readonly kind: 'evaluation' }>> = []
  let result: RunResult | null = null
  try {
    for await (const event of finetune(options, { signal: interrupt.signal })) {
      if (event.kind === 'ready') progress.print(`method: ${options.settings.method} (${findMethod(options.settings.method).summary})`)
      progress.show(event)
      if (event.kind === 'ready') {
        begun = true
        watched = watchSuddenEnd(options.output, `To resume: ${resumeCommand(options.output)}`)
      }
      if (event.kind === 'evaluation') evaluations.push(event)
      if (event.kind === 'result') result = event.result
    }
  } catch (error) {
    if (interrupt.signal.aborted && !begun) return stoppedEarly(options, interrupt, terminal)
    throw error
  } finally {
    watched()
    progress.close()
    interrupt.release()
  }
  if (result === null && interrupt.signal.aborted && !begun) return stoppedEarly(options, interrupt, terminal)
  if (result === null) throw new Error('trainingRun: expected a result as the last event, got none')
  const before = evaluations.find(({ step }) => step === 0)?.scores ?? null
  const lines = result.interrupted ? [] : [...longerLines(evaluations), ...(await closing(options.output))]
  terminal.result([summaryText(result, before, terminal), ...lines].join('\n'), before === null ? result : { ...result, before })
  if (result.interrupted) terminal.note(`stopped by a signal after step ${result.stepsDone}; to resume: ${resumeCommand(options.output)}`)
  return result.interrupted ? (interrupt.exitCode() ?? exitCodes.interrupted) : exitCodes.success
}

/** The advice to train longer, if the loss asks for it. */
const longerLines = (evaluations: Parameters<typeof lossStillFalling>[0]): readonly string[] => {
  const falling = lossStillFalling(evaluations)
  if (falling === null) return []
  const { from, to } = falling
  return [
    `advice      the evaluation loss was still falling: ${from.loss.toFixed(3)} after step ${from.step}, ${to.loss.toFixed(3)} at the end. ` +
      'Train longer (--epochs)',
  ]
}

const stoppedEarly = ({ output, resume }: RunOptions, { exitCode }: Interrupt, { note }: Terminal): number => {
  note(`stopped by a signal before the first step; ${resume ? `${output} is unchanged` : 'nothing was trained'}`)
  return exitCode() ?? exitCodes.interrupted
}

/** The result of a finished run that is not to be extended; null otherwise. @throws InputError if its settings differ from the requested ones */
const finishedRun = async ({ output, model, adapter, task, settings, tensorboard, reportTo }: RunOptions): Promise<RunResult | null> => {
  const [result, config] = [await finishedResult(output), await readRunConfig(output)]
  if (result === null || config === null) return null
  if (settings.device !== 'auto') checkSameDevice(output, config.device, findDevice(settings.device).name)
  const asked = { model, ...(adapter === undefined ? {} : { adapter }), task }
  const different = differingChoices(config, { ...asked, settings: atLength(settings, config.settings) })
  if (different.length > 0) {
    const remedy = (await hasAdapter(output)) ? suggestNewRun(output, config, different) : ''
    throw inputError(
      join(output, 'config.json'),
      words`the settings that the run, which is finished, began with${remedy}`,
      different.join('; '),
    )
  }
  if (differingChoices(config, { ...asked, settings }).length > 0) return null
  const flag = tensorboard === true ? '--tensorboard' : reportTo === undefined ? null : '--report-to'
  if (flag !== null) throw inputError(flag, 'an unfinished run, whose events it can still record', `a finished one in ${output}`)
  return result
}

/** Whether a run ended too early: its loss on the evaluation data was still falling. */
type Evaluation = Extract<FinetuneEvent, { readonly kind: 'evaluation' }>
type Moment = { readonly step: number; readonly loss: number }

/** A fall of less than this fraction in the last third of a run promises little, and so does one from below this loss. */
const [noticeable, settled] = [0.05, 0.01]

/**
 * The last evaluation and the one two thirds of the way, if the loss is the lowest of all and fell noticeably in between.
 * @param evaluations of a run that was not stopped, in their order @returns null if the loss had settled, or if there are too few evaluations
 */
export const lossStillFalling = (
  evaluations: readonly Pick<Evaluation, 'step' | 'scores'>[],
): { readonly from: Moment; readonly to: Moment } | null => {
  const moments = evaluations.flatMap(({ step, scores: { loss } }) => (step > 0 && loss !== undefined ? [{ step, loss }] : []))
  const to = moments.at(-1)
  const from = moments.findLast(({ step }) => to !== undefined && 3 * step <= 2 * to.step)
  if (to === undefined || from === undefined || from.loss < settled || moments.some(({ loss }) => loss < to.loss)) return null
  return to.loss < (1 - noticeable) * from.loss ? { from, to } : null
}
