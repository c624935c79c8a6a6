/** Options as a user would type them: `--rank`, and `--set tau` where a setting has no option of its own. */
import { oneLine, reason, UserError } from '../../accelerated/errors/inputError.js'
import type { OptionStyle } from '../../accelerated/errors/words.js'
import { allSettings } from '../../accelerated/training/resolveSettings.js'
import { taskFlags } from '../tasks/taskFlags.js'
import { inShell } from './shell.js'

const viaSet: ReadonlySet<string> = new Set([
  ...Object.entries(allSettings).flatMap(([name, setting]) => (setting.viaSet ? [name] : [])),
  ...taskFlags.flatMap((flag) => (flag.viaSet === true ? [flag.name] : [])),
])

/** Whether the setting has no option of its own. */
export const isViaSet = (name: string): boolean => viaSet.has(name)

/** `gateStart` → `gate-start` */
export const toKebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** `batchSize` → `--batch-size`, `gateStart` → `--set gate-start` */
export const toFlag = (name: string): string => `${isViaSet(name) ? '--set ' : '--'}${toKebab(name)}`

/** What to type instead of a flag that does not exist: `--rank`, or with the value that followed it `--set tau=0.5` */
export const toRemedy = (name: string, value = 'VALUE'): string =>
  isViaSet(name) ? `${toFlag(name)}=${value.length > 80 ? '…' : inShell(value)}` : toFlag(name)

/** `--max-length`, `--no-load-best-model-at-end` */
export const asFlag: OptionStyle = ({ option, on }) => (on === false ? toFlag(option).replace('--', '--no-') : toFlag(option))

/** The line of any thrown value for who reads it on the command line. */
export const lineInFlags = (thrown: unknown): string => (thrown instanceof UserError ? oneLine(thrown.lineIn(asFlag)) : reason(thrown))

/** Values that are neither null nor a default, as flags. Lists are cut at commas; a switch takes nothing. */
export const toFlags = (values: Readonly<Record<string, unknown>>): readonly string[] =>
  Object.entries(values).flatMap(([name, value]) => {
    if (value === null || value === undefined || value === false) return []
    if (isViaSet(name)) return ['--set', `${toKebab(name)}=${value}`]
    return value === true ? [toFlag(name)] : [toFlag(name), String(value)]
  })
