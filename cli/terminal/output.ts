/** Output: the result goes to standard output (text, or with --json one document), everything else to standard error. */
import { styleText } from 'node:util'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { wrapped } from '../../finetuning/commandLine/help.js'
import type { PlacementReport } from '../../finetuning/run/devicePlacement.js'

/** Escapes control characters, because labels and paths are untrusted. JSON keeps its meaning. */
export const printable = (text: string): string => text.split('\n').map(oneLine).join('\n')

/** The same, except for the colors of a summary. */
export const printableInColor = (text: string): string =>
  text
    .split(/(\u001b\[[\d;]*m)/)
    .map((part, i) => (i % 2 === 1 ? part : printable(part)))
    .join('')

/**
 * A message as standard error shows it. A terminal breaks it at words, where the next line begins with two blanks, and has warnings in yellow,
 * errors in red and the best evaluation in bold; a file or a pipe has it in one line.
 */
export const layOut = (text: string, kind: keyof typeof styles = 'note'): string => {
  if (process.stderr.isTTY !== true) return printable(text)
  const columns = process.stderr.columns || 80
  const lines = printable(text)
    .split('\n')
    .flatMap((line) => (line.length <= columns ? [line] : wrapped(line, columns - 2).map((part, i) => (i === 0 ? part : `  ${part}`))))
    .join('\n')
  const hasColors = process.env['NO_COLOR'] === undefined && process.stderr.hasColors()
  return styles[kind] === null || !hasColors ? lines : styleText(styles[kind], lines, { validateStream: false })
}

const styles = { note: null, warning: 'yellow', error: 'red', best: 'bold' } as const

export type OutputFlags = { readonly json?: boolean; readonly quiet?: boolean }

export type Terminal = {
  readonly json: boolean
  readonly quiet: boolean
  /** standard output is a terminal that shows colors */
  readonly color: boolean
  /** progress; nothing with --quiet */
  readonly note: (line: string) => void
  readonly warn: (line: string) => void
  /** the command's result, once */
  readonly result: (text: string, document: unknown) => void
}

export const openTerminal = ({ json = false, quiet = false }: OutputFlags): Terminal => {
  const write = (text: string, kind?: 'warning'): void => {
    process.stderr.write(`${layOut(text, kind)}\n`)
  }
  const color = !json && process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined && process.stdout.hasColors(256)
  return {
    json,
    quiet,
    color,
    note: quiet ? () => undefined : (line) => write(line),
    warn: (line) => write(`warning: ${line}`, 'warning'),
    result: (text, document) => {
      process.stdout.write(`${json ? printable(JSON.stringify(document, null, 2)) : color ? printableInColor(text) : printable(text)}\n`)
    },
  }
}

/** How a terminal shows where a device's nodes ran: as a warning if some ran on the CPU. */
export const placementNote =
  (terminal: Pick<Terminal, 'note' | 'warn'>): PlacementReport =>
  (line, warns) =>
    warns ? terminal.warn(line) : terminal.note(line)
