/** What an unknown option or key may have meant: a name of another tool, or the nearest of ours. */
import { suggestNearest, type Suggest } from '../../finetuning/commandLine/parse.js'
import { didYouMean } from '../../accelerated/errors/nearest.js'
import { toFlag, toRemedy } from '../../finetuning/commandLine/optionNames.js'
import { aliases, otherWords, removedOptions } from './aliases.js'
import { allTrainFlags } from './trainFlags.js'

type OtherName = { readonly tool: string; readonly name: string; readonly setting: string; readonly value: string | null }

/** As the tables have a name: `device_id` for --device-id and deviceId. */
const asListed = (typed: string): string =>
  typed
    .replace(/^-+/, '')
    .replace(/[a-z][A-Z]/g, ([a = '', b = '']) => `${a}_${b}`)
    .replaceAll('-', '_')
    .toLowerCase()

const removed = (typed: string): string | undefined => {
  const name = asListed(typed)
  return Object.hasOwn(removedOptions, name) ? removedOptions[name] : undefined
}

/** An option of `salora train` that another command does not have, such as `estimate --task`. */
const ofTrain = (typed: string): string | null =>
  Object.keys(allTrainFlags).some((name) => toFlag(name) === typed) ? 'it belongs to salora train' : null

/** @param known only these settings of ours */
const otherName = (typed: string, known: readonly string[]): OtherName | null => {
  const name = asListed(typed)
  for (const [tool, names] of Object.entries(aliases)) {
    const [setting = '', value = null] = Object.hasOwn(names, name) ? (names[name]?.split(' ') ?? []) : []
    if (known.includes(setting)) return { tool, name, setting, value }
  }
  return null
}

/** `did you mean --rank? PEFT: lora_r` */
export const suggestFlag: Suggest = (typed, known, value) => {
  const other = otherName(typed, known)
  if (other === null) return removed(typed) ?? ofTrain(typed) ?? suggestNearest(typed, known, value)
  const flag = `${toRemedy(other.setting, value)}${other.value === null ? '' : ` ${other.value}`}`
  return `did you mean ${flag}?${formatSource(other)}`
}

/** The same for a key of a --config file: `did you mean "rank"? PEFT: lora_r`. */
export const suggestSetting = (typed: string, known: readonly string[]): string | null => {
  const other = otherName(typed, known)
  if (other !== null) return `did you mean ${formatKey(other)}?${formatSource(other)}`
  return removed(typed) ?? didYouMean(typed, known)
}

const formatKey = ({ setting, value }: OtherName): string => (value === null ? `"${setting}"` : `"${setting}": "${value}"`)

const formatSource = ({ tool, name }: OtherName): string => (tool === otherWords ? '' : ` ${tool}: ${name}`)
