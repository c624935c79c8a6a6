/** An error becomes one line and an exit code; the stack is printed only on demand. */
import { InputError } from '../../accelerated/errors/inputError.js'
import { describeSystemError } from '../../accelerated/errors/systemError.js'
import { SettingsError, isExpected } from '../../accelerated/errors/expectedErrors.js'
import { exitCodes } from './exit.js'
import { layOut } from './output.js'
import { lineInFlags } from '../../finetuning/commandLine/optionNames.js'
import { UsageError } from '../../finetuning/commandLine/usageError.js'
import { methods } from '../../accelerated/methods/index.js'
import { devices } from '../../accelerated/engines/devices/index.js'
import { precisions } from '../../accelerated/precisions/index.js'
import { exportFormats } from '../../finetuning/use/exportFormats.js'
import { nearest } from '../../accelerated/errors/nearest.js'
import { taskNames } from '../../finetuning/tasks/index.js'
import { otherValues } from '../options/aliases.js'

export type ErrorReport = { readonly line: string; readonly exitCode: number }

/** `--rank: …` is wrong usage (2); `--output runs/1: …` and the name of a file are failures (1). */
export const errorReport = (error: unknown): ErrorReport => {
  const thrown = describeSystemError(error)
  const line = lineInFlags(thrown)
  if (thrown instanceof UsageError) return { line: withSuggestion(line), exitCode: exitCodes.wrongUsage }
  if (!isExpected(thrown))
    return {
      line: `unexpected error: ${line} (a defect in salora; SALORA_DEBUG=1 prints the stack)`,
      exitCode: exitCodes.failure,
    }
  const isUsage = thrown instanceof SettingsError || (thrown instanceof InputError && thrown.kind === 'usage')
  return { line: withSuggestion(line), exitCode: isUsage ? exitCodes.wrongUsage : exitCodes.failure }
}

/** Writes the line to standard error, and with SALORA_DEBUG the stack of an unexpected error. */
export const reportError = (thrown: unknown): number => {
  const { line, exitCode } = errorReport(thrown)
  process.stderr.write(`${layOut(line, 'error')}\n`)
  if (process.env['SALORA_DEBUG'] !== undefined && thrown instanceof Error && thrown.stack !== undefined)
    process.stderr.write(`${thrown.stack}\n`)
  return exitCode
}

/** What a value that a flag does not know may have meant: `(did you mean --format transformers.js?)`. */
const suggestibleValues: Readonly<Record<string, readonly string[]>> = {
  method: methods.map(({ name }) => name).toSorted((a, b) => b.length - a.length), // a missing letter is likelier than one too many
  task: taskNames,
  device: ['auto', ...devices.map(({ name }) => name)],
  precision: precisions.map(({ name }) => name),
  format: exportFormats,
}

/** @param line `--method: expected one of …, got "qlora"`, whose suggestion for programs is replaced, or any other, which stays as it is */
export const withSuggestion = (line: string): string => {
  const [, plain = '', flag = '', expected = '', typed = ''] =
    /^((?:--|.*: )([a-z-]+): expected (.*), got "([^"]{1,40})")(?: \(did you mean "[^"]*"\?\))?$/.exec(line) ?? []
  const suggestion = otherValue(flag, typed) ?? nearValue(flag, typed)
  // another command may have the same flag with other values
  const fits =
    suggestion !== null && (!suggestion.startsWith(`--${flag} `) || flag === 'task' || expected.includes(suggestion.split(' ')[1] ?? ''))
  return fits ? `${plain} (did you mean ${suggestion}?)` : line
}

const otherValue = (flag: string, typed: string): string | null => {
  const name = typed.toLowerCase().replaceAll('-', '_')
  const others = otherValues[flag] ?? {}
  return (Object.hasOwn(others, name) ? others[name] : null) ?? null
}

const nearValue = (flag: string, typed: string): string | null => {
  const near = nearest(typed, suggestibleValues[flag] ?? [])
  return near === null ? null : `--${flag} ${near}`
}
