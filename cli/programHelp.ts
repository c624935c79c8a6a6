/** `salora --help`: the commands in groups, one line each. */
import { commandGroups, type CommandEntry } from './commandGroups.js'

const widest = Math.max(...commandGroups.flatMap(({ commands }) => commands.map(({ name }) => name.length)))

const line = ({ name, summary }: CommandEntry): string => `  ${name.padEnd(widest)}  ${summary}`

export const programHelp = (): string =>
  [
    'Fine-tune transformers with SaLoRA, LoRA, AdaLoRA, adapters, prefixes and prompts.',
    '',
    'Usage: salora <command> [options]',
    ...commandGroups.flatMap(({ heading, commands }) => ['', `${heading}:`, ...commands.map(line)]),
    '',
    'Options:',
    `  ${'-h, --help'.padEnd(widest)}  Print this help; salora <command> --help explains a command`,
    `  ${'-V, --version'.padEnd(widest)}  Print the version`,
    '',
    'Example:',
    '  salora quickstart',
    '    Trains for a few minutes, prints the accuracy, and writes runs/sentiment-salora-1.',
    '',
    'Exit codes: 0 success, 1 failure, 2 wrong usage, 130 stopped by Ctrl-C.',
    '',
  ].join('\n')

/** The same for a command whose name has two words, as `ngram`. */
export const groupHelp = (word: string, entries: ReadonlyArray<CommandEntry>): string =>
  [
    `Usage: salora ${word} <command> [options]`,
    '',
    'Commands:',
    ...entries.map(line),
    '',
    `salora ${word} <command> --help explains a command.`,
    '',
  ].join('\n')
