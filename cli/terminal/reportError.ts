/** Whatever was thrown, as one line and an exit code. A stack trace is shown on demand only. */
import { CommanderError } from 'commander'
import { reason } from '../../accelerated/errors/inputError.js'
import { describeSystemError } from '../../accelerated/errors/systemError.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import { commanderMessage } from '../../finetuning/commandLine/commanderMessage.js'
import { isExpected } from '../../accelerated/errors/expectedErrors.js'
import { exitCodes } from './exitCodes.js'
import { inFlags } from '../options/flagNames.js'
import { UsageError } from '../../finetuning/commandLine/usageError.js'

export type ErrorReport = { readonly line: string; readonly exitCode: number }

/** `--rank: …` blames what was typed (2); `--output runs/1: …` and a file's name blame the world (1). */
const blamesFlag = (line: string): boolean => /^--[a-z-]+:/.test(line)

export const errorReport = (error: unknown): ErrorReport => {
  const thrown = describeSystemError(error)
  if (thrown instanceof CommanderError) return { line: commanderMessage(thrown), exitCode: exitCodes.wrongUsage }
  const line = reason(thrown)
  if (thrown instanceof UsageError) return { line, exitCode: exitCodes.wrongUsage }
  if (!isExpected(thrown))
    return {
      line: `unexpected error: ${line} (this is a defect; run again with SALORA_DEBUG=1 for the stack)`,
      exitCode: exitCodes.failure,
    }
  const told = inFlags(line)
  return { line: told, exitCode: thrown instanceof SettingsError || blamesFlag(told) ? exitCodes.wrongUsage : exitCodes.failure }
}

/** Writes the line to standard error, and with SALORA_DEBUG the stack of an unexpected error. */
export const reportError = (thrown: unknown): number => {
  const { line, exitCode } = errorReport(thrown)
  process.stderr.write(`${line}\n`)
  if (process.env['SALORA_DEBUG'] !== undefined && thrown instanceof Error && thrown.stack !== undefined)
    process.stderr.write(`${thrown.stack}\n`)
  return exitCode
}
