/** What a value that a flag does not know may have meant: `(did you mean --format transformers.js?)`. */
import { methods } from '../../accelerated/methods/index.js'
import { devices } from '../../accelerated/engines/devices/index.js'
import { precisions } from '../../accelerated/precisions/index.js'
import { exportFormats } from '../../finetuning/adapters/exportFormats.js'
import { nearest } from '../../accelerated/errors/nearest.js'
import { taskNames } from '../../finetuning/tasks/index.js'
import { otherValues } from './otherNames.js'

const knownValues: Readonly<Record<string, ReadonlyArray<string>>> = {
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
  const near = nearest(typed, knownValues[flag] ?? [])
  return near === null ? null : `--${flag} ${near}`
}
