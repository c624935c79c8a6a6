/** An error becomes one line and an exit code; the stack is printed only on demand. */
import { reason } from '../../accelerated/errors/inputError.js'
import { describeSystemError } from '../../accelerated/errors/systemError.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import { isExpected } from '../../accelerated/errors/expectedErrors.js'
import { exitCodes } from './exitCodes.js'
import { inFlags } from '../options/settingNames.js'
import { withSuggestion } from '../options/valueSuggestions.js'
import { UsageError } from '../../finetuning/commandLine/usageError.js'

export type ErrorReport = { readonly line: string; readonly exitCode: number }

/** `--rank: …` is wrong usage (2); `--output runs/1: …` and the name of a file are failures (1). */
const blamesFlag = (line: string): boolean => /^--[a-z-]+:/.test(line)

export const errorReport = (error: unknown): ErrorReport => {
  const thrown = describeSystemError(error)
  const line = reason(thrown)
  if (thrown instanceof UsageError) return { line: withSuggestion(line), exitCode: exitCodes.wrongUsage }
  if (!isExpected(thrown))
    return {
      line: `unexpected error: ${line} (a defect in salora; SALORA_DEBUG=1 prints the stack)`,
      exitCode: exitCodes.failure,
    }
  const inUserWords = withSuggestion(inFlags(line))
  return {
    line: inUserWords,
    exitCode: thrown instanceof SettingsError || blamesFlag(inUserWords) ? exitCodes.wrongUsage : exitCodes.failure,
  }
}

/** Writes the line to standard error, and with SALORA_DEBUG the stack of an unexpected error. */
export const reportError = (thrown: unknown): number => {
  const { line, exitCode } = errorReport(thrown)
  process.stderr.write(`${line}\n`)
  if (process.env['SALORA_DEBUG'] !== undefined && thrown instanceof Error && thrown.stack !== undefined)
    process.stderr.write(`${thrown.stack}\n`)
  return exitCode
}
