/** --help: usage, one or two sentences, flags under their headings, examples with their results. */
import { helpFlags, type Definition } from './definition.js'
import { advanced, formatFlag, type Flag, type FlagGroups } from './flag.js'
import { isViaSet, toKebab } from './optionNames.js'

export type HelpOptions = {
  /** columns of the terminal */
  readonly width: number
  /** --help-all: advanced flags and full descriptions too */
  readonly all: boolean
}

/** Columns of the longest flag whose description starts beside it. */
const widestFlag = 27

export const helpText = (definition: Definition, { width, all }: HelpOptions): string => {
  const { name, description, arguments: words = [] } = definition
  const sections = [
    { heading: 'Arguments', rows: words.map((word) => ({ name: word.name, description: word.description, defaultText: null })) },
    ...listSections(definition, all),
    ...(all ? [listSettings(definition)] : []),
  ].filter(({ rows }) => rows.length > 0)
  const left = Math.min(widestFlag, Math.max(...sections.flatMap(({ rows }) => rows.map((row) => row.name.length))))
  const examples = !all && hasAdvanced(definition.flags) ? definition.examples.slice(0, 1) : definition.examples
  return [
    ...wrapped(description, width),
    '',
    `Usage: ${name} ${formatUsage(definition)}`,
    ...sections.flatMap(({ heading, rows }) => ['', `${heading}:`, ...rows.flatMap((row) => rowLines(row, { left, width, all }))]),
    ...(examples.length === 0 ? [] : ['', examples.length === 1 ? 'Example:' : 'Examples:']),
    ...examples.flatMap(({ command, result }) => [`  ${command}`, ...wrapped(result, width - 4).map((line) => `    ${line}`)]),
    '',
  ].join('\n')
}

type Row = { readonly name: string; readonly description: string; readonly defaultText: string | null }
type Section = { readonly heading: string; readonly rows: readonly Row[] }

const listSections = ({ flags }: Definition, all: boolean): readonly Section[] =>
  Object.entries(withHelp(flags)).map(([heading, table]) => ({
    heading,
    rows: Object.entries(table)
      .filter(([name, flag]) => isListed(name, flag, all))
      .map(([name, flag]) => ({ name: formatFlag(name, flag), description: flag.description, defaultText: flag.defaultText })),
  }))

/** The settings without an option of their own: the names under each heading. */
const listSettings = ({ flags }: Definition): Section => ({
  heading: 'Settings (--set NAME=VALUE)',
  rows: Object.entries(flags).flatMap(([name, table]) => {
    const names = Object.keys(table).filter(isViaSet)
    return names.length === 0 ? [] : [{ name, description: names.map(toKebab).join(', '), defaultText: null }]
  }),
})

/** The flags of help end the last group. */
const withHelp = (flags: FlagGroups): FlagGroups => {
  const { help, helpAll, version } = helpFlags
  const hidden = countFlags(flags, true) - countFlags(flags, false)
  const helpFlag =
    hidden > 0 ? { ...help, description: `Print this help; --help-all lists ${hidden} more ${hidden === 1 ? 'option' : 'options'}` } : help
  const last = Object.keys(flags).at(-1) ?? 'Options'
  return { ...flags, [last]: { ...flags[last], help: helpFlag, helpAll: advanced(helpAll), version: advanced(version) } }
}

const hasAdvanced = (flags: FlagGroups): boolean => countFlags(flags, true) > countFlags(flags, false)

const isListed = (name: string, flag: Flag, all: boolean): boolean => !flag.hidden && !isViaSet(name) && (all || flag.common)

const countFlags = (flags: FlagGroups, all: boolean): number =>
  Object.values(flags).reduce((sum, table) => sum + Object.entries(table).filter(([name, flag]) => isListed(name, flag, all)).length, 0)

/** `Rank of each adapter (default: 8)` */
export const formatDescription = ({ description, defaultText }: Pick<Row, 'description' | 'defaultText'>): string =>
  defaultText === null ? description : `${description} (default: ${defaultText})`

const formatUsage = ({ usage, flags, arguments: words = [] }: Definition): string => {
  if (usage !== undefined) return usage
  const needed = Object.values(flags).flatMap((table) =>
    Object.entries(table).flatMap(([name, flag]) => (flag.isRequired ? [formatFlag(name, flag)] : [])),
  )
  const shownWords = words.map(({ name, several, required }) => {
    const shown = several === true ? `<${name}...>` : `<${name}>`
    return required === true ? shown : `[${shown}]`
  })
  return [...shownWords, ...needed, '[options]'].join(' ')
}

type Layout = { readonly left: number; readonly width: number; readonly all: boolean }

/** A flag that is wider than its column has its description below it. */
const rowLines = (row: Row, { left, width, all }: Layout): readonly string[] => {
  const { name } = row
  const indent = ' '.repeat(left + 4)
  const columns = Math.max(20, width - indent.length)
  const lines = wrapped(all ? formatDescription(row) : shortened(row, columns), columns)
  if (name.length > left) return [`  ${name}`, ...lines.map((line) => indent + line)]
  return lines.map((line, i) => (i === 0 ? `  ${name.padEnd(left)}  ${line}` : indent + line))
}

/** The description that fits into one line: whole, without remarks in parentheses, or up to its first semicolon. */
const shortened = (row: Row, columns: number): string => {
  const plain = withoutRemarks(row.description)
  const candidates = [row.description, plain, plain.split('; ')[0] ?? ''].map((description) => formatDescription({ ...row, description }))
  return candidates.find((text) => text.length <= columns) ?? candidates.at(-1) ?? ''
}

/** Without parentheses, nested ones too. */
const withoutRemarks = (text: string): string => {
  const shorter = text.replaceAll(/ ?\([^()]*\)/g, '')
  return shorter === text ? text : withoutRemarks(shorter)
}

/** Lines of at most `width` columns, cut at spaces; line feeds stay. */
export const wrapped = (text: string, width: number): readonly string[] =>
  text.split('\n').flatMap((paragraph) => {
    const lines: string[] = []
    for (const word of paragraph.split(' ')) {
      const last = lines.at(-1)
      if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
      else lines.push(word)
    }
    return lines
  })
