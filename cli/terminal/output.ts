/** Output: the result goes to standard output (text, or with --json one document), everything else to standard error. */
import { oneLine } from '../../accelerated/errors/inputError.js'
import type { PlacementReport } from '../../finetuning/run/devicePlacement.js'

/** Escapes control characters, because labels and paths are untrusted. JSON keeps its meaning. */
export const printable = (text: string): string => text.split('\n').map(oneLine).join('\n')

/** The same, except for the colors of a summary. */
export const printableInColor = (text: string): string =>
  text
    .split(/(\u001b\[[\d;]*m)/)
    .map((part, i) => (i % 2 === 1 ? part : printable(part)))
    .join('')

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
  const writeLine = (text: string): void => {
    process.stderr.write(`${printable(text)}\n`)
  }
  const color = !json && process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined && process.stdout.hasColors(256)
  return {
    json,
    quiet,
    color,
    note: quiet ? () => undefined : writeLine,
    warn: (line) => writeLine(`warning: ${line}`),
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
