/** --help: usage, one or two sentences, flags under their headings, examples with their results. */
import { helpFlags, type Definition } from './definition.js'
import { shownFlag, type Flag, type FlagTable } from './flag.js'

export type HelpOptions = {
  /** columns of the terminal */
  readonly width: number
  /** --help-all: advanced flags too */
  readonly all: boolean
}

/** Columns of the longest flag that has its description beside it. */
const widestFlag = 40

export const helpText = (definition: Definition, { width, all }: HelpOptions): string => {
  const { name, description, arguments: words = [], examples } = definition
  const sections = sectionsOf(definition, all)
  const rows = [...words.map((word) => [word.name, word.description] as const), ...sections.flatMap(({ rows: own }) => own)]
  const left = Math.min(widestFlag, Math.max(...rows.map(([first]) => first.length)))
  const table = (heading: string, own: ReadonlyArray<readonly [string, string]>): ReadonlyArray<string> =>
    own.length === 0 ? [] : ['', `${heading}:`, ...own.flatMap((row) => rowLines(row, left, width))]
  const hidden = all ? 0 : countOf(definition, true) - countOf(definition, false)
  return [
    ...wrapped(description, width),
    '',
    `Usage: ${name}${usageOf(definition)}`,
    ...table(
      'Arguments',
      words.map((word) => [word.name, word.description]),
    ),
    ...sections.flatMap(({ heading, rows: own }) => table(heading, own)),
    ...(examples.length === 0 ? [] : ['', examples.length === 1 ? 'Example:' : 'Examples:']),
    ...examples.flatMap(({ command, result }) => [`  ${command}`, ...wrapped(result, width - 4).map((line) => `    ${line}`)]),
    ...(hidden === 0 ? [] : ['', `${name} --help-all lists ${hidden} more options.`]),
    '',
  ].join('\n')
}

type Section = { readonly heading: string; readonly rows: ReadonlyArray<readonly [string, string]> }

const sectionsOf = ({ flags }: Definition, all: boolean): ReadonlyArray<Section> => {
  const { helpAll, ...others } = helpFlags
  const general: FlagTable = hasAdvanced(flags) ? { ...others, helpAll } : others
  return Object.entries({ ...flags, Help: general }).map(([heading, table]) => ({
    heading,
    rows: Object.entries(table)
      .filter(([, flag]) => isListed(flag, all))
      .map(([flagName, flag]) => [shownFlag(flagName, flag), descriptionOf(flag)] as const),
  }))
}

const isListed = (flag: Flag, all: boolean): boolean => !flag.hidden && (all || flag.common)

const hasAdvanced = (flags: Definition['flags']): boolean =>
  Object.values(flags).some((table) => Object.values(table).some((flag) => !flag.hidden && !flag.common))

const countOf = ({ flags }: Definition, all: boolean): number =>
  Object.values(flags).reduce((sum, table) => sum + Object.values(table).filter((flag) => isListed(flag, all)).length, 0)

/** `Rank of each adapter (default: 8)` */
export const descriptionOf = ({ description, defaultText }: Flag): string =>
  defaultText === null ? description : `${description} (default: ${defaultText})`

const usageOf = ({ usage, flags, arguments: words = [] }: Definition): string => {
  if (usage !== undefined) return ` ${usage}`
  const needed = Object.values(flags).flatMap((table) =>
    Object.entries(table).flatMap(([name, flag]) => (flag.isRequired ? [shownFlag(name, flag)] : [])),
  )
  const shownWords = words.map(({ name, several, required }) => {
    const shown = several === true ? `${name}...` : name
    return required === true ? shown : `[${shown}]`
  })
  return [' ', [...shownWords, ...needed, '[options]'].join(' ')].join('')
}

/** A flag that is wider than the column has its description below it. */
const rowLines = ([first, description]: readonly [string, string], left: number, width: number): ReadonlyArray<string> => {
  const indent = ' '.repeat(left + 4)
  const lines = wrapped(description, Math.max(20, width - indent.length))
  if (first.length > left) return [`  ${first}`, ...lines.map((line) => indent + line)]
  return lines.map((line, i) => (i === 0 ? `  ${first.padEnd(left)}  ${line}` : indent + line))
}

/** Lines of at most `width` columns, cut at spaces; line feeds stay. */
export const wrapped = (text: string, width: number): ReadonlyArray<string> =>
  text.split('\n').flatMap((paragraph) => {
    const lines: string[] = []
    for (const word of paragraph.split(' ')) {
      const last = lines.at(-1)
      if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
      else lines.push(word)
    }
    return lines
  })
