/** What an unknown option or key may have meant: a name of another tool, or the nearest of ours. */
import { suggestNearest, type Suggest } from '../../finetuning/commandLine/parse.js'
import { didYouMean } from '../../accelerated/errors/nearest.js'
import { flagOf } from '../../finetuning/commandLine/shell.js'
import { otherNames, otherWords } from './otherNames.js'

type OtherName = { readonly tool: string; readonly name: string; readonly setting: string; readonly value: string | null }

/** @param known only these settings of ours */
const otherName = (typed: string, known: readonly string[]): OtherName | null => {
  const name = typed.replace(/^-+/, '').replaceAll('-', '_').toLowerCase()
  for (const [tool, names] of Object.entries(otherNames)) {
    const [setting = '', value = null] = Object.hasOwn(names, name) ? (names[name]?.split(' ') ?? []) : []
    if (known.includes(setting)) return { tool, name, setting, value }
  }
  return null
}

/** `did you mean --rank? PEFT: lora_r` */
export const suggestFlag: Suggest = (typed, known) => {
  const other = otherName(typed, known)
  if (other === null) return suggestNearest(typed, known)
  const flag = other.value === null ? flagOf(other.setting) : `${flagOf(other.setting)} ${other.value}`
  return `did you mean ${flag}?${sourceOf(other)}`
}

/** The same for a key of a --config file: `did you mean "rank"? PEFT: lora_r`. */
export const suggestSetting = (typed: string, known: readonly string[]): string | null => {
  const other = otherName(typed, known)
  if (other !== null) return `did you mean ${keyOf(other)}?${sourceOf(other)}`
  return didYouMean(typed, known)
}

const keyOf = ({ setting, value }: OtherName): string => (value === null ? `"${setting}"` : `"${setting}": "${value}"`)

const sourceOf = ({ tool, name }: OtherName): string => (tool === otherWords ? '' : ` ${tool}: ${name}`)
