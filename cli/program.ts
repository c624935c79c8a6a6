/** The program: finds the command that was typed, loads it, runs it, and sets the exit code. */
import { describeLoadingError, LoadingError } from '../accelerated/errors/systemError.js'
import { nearest } from '../accelerated/errors/nearest.js'
import { UsageError, usageError } from '../finetuning/commandLine/usageError.js'
import { versions } from '../finetuning/run/versions.js'
import { commandGroups, type CommandEntry } from './commandGroups.js'
import { exitCodes } from './terminal/exit.js'

const entries: readonly CommandEntry[] = commandGroups.flatMap(({ commands }) => commands)

/** Runs the command line after `salora`, and sets process.exitCode. */
export const runProgram = async (args: readonly string[]): Promise<void> => {
  try {
    process.exitCode = await execute(args)
  } catch (error) {
    process.exitCode = await reported(error)
  }
}

const execute = async (args: readonly string[]): Promise<number> => {
  const entry = entries.find(({ name }) => name.split(' ').every((word, i) => word === args[i]))
  if (entry === undefined) return withoutCommand(args)
  return (await entry.load()).execute(args.slice(entry.name.split(' ').length))
}

/** --help and --version of the program itself, also as words. @throws UsageError for a command that does not exist */
const withoutCommand = async ([word, ...others]: readonly string[]): Promise<number> => {
  const print = (text: string): number => {
    process.stdout.write(text)
    return exitCodes.success
  }
  if (word === undefined) {
    process.stderr.write(programHelp())
    return exitCodes.wrongUsage
  }
  if (word === 'help' && others.length > 0) return execute([...others, '--help'])
  if (['-h', '--help', '--help-all', 'help'].includes(word)) return print(programHelp())
  if (['-V', '--version', 'version'].includes(word)) return print(`${versions['salora'] ?? ''}\n`)
  if (word.startsWith('-')) throw new UsageError(`${word}: unknown option (see salora --help)`)
  const group = entries.filter(({ name }) => name.startsWith(`${word} `))
  if (group.length === 0) throw unknownCommand(word)
  if (others.some((other) => ['-h', '--help', '--help-all'].includes(other))) return print(groupHelp(word, group))
  const [subcommand] = others
  const names = group.map(({ name }) => name.slice(word.length + 1)).join(' or ')
  throw usageError(`salora ${word}`, `${names} (see salora ${word} --help)`, subcommand === undefined ? 'none' : JSON.stringify(subcommand))
}

/** The name that others give to a command, or the nearest of ours. */
const unknownCommand = (word: string): UsageError => {
  const meant = otherCommand(word)
  const near = nearest(
    word,
    entries.map(({ name }) => name),
  )
  const remedy = meant !== null ? `use \`salora ${meant}\`` : near !== null ? `did you mean \`${near}\`?` : 'see `salora --help`'
  return new UsageError(`Unknown command \`${word}\` (${remedy})`)
}

/** One line on standard error → the exit code. The words for errors are loaded only when there is one. */
export const reported = async (thrown: unknown): Promise<number> => {
  const error = describeLoadingError(thrown)
  try {
    if (!(error instanceof LoadingError)) return (await import('./terminal/reportError.js')).reportError(error)
    process.stderr.write(`${error.message}\n`)
    return exitCodes.failure
  } catch (failed) {
    const unloaded = describeLoadingError(failed)
    if (failed === error || !(unloaded instanceof LoadingError)) throw unloaded
    return reported(unloaded)
  }
}

/** What people and other tools call our commands, by ours as typed after `salora`: lower case, without - and _. */
const otherCommands: Readonly<Record<string, readonly string[]>> = {
  bench: ['benchmark', 'perf', 'profile', 'speed'],
  board: ['dashboard', 'monitor', 'tensorboard', 'ui', 'watch', 'webui'],
  chat: ['ask', 'repl', 'run', 'talk', 'webchat'],
  doctor: ['check', 'devices', 'diagnose', 'env', 'info', 'system'],
  evaluate: ['eval', 'score', 'test', 'validate'],
  export: ['convert', 'gguf', 'mergeadapter', 'mergelora', 'quantize', 'save'],
  generate: ['complete', 'completion', 'sample'],
  inspect: ['data', 'dataset', 'explore', 'preprocess', 'preview', 'tokenize'],
  label: ['active', 'annotate', 'labeling'],
  merge: ['combine', 'ties'],
  predict: ['classify', 'embed', 'infer', 'inference', 'tag'],
  push: ['publish', 'share', 'upload'],
  quickstart: ['demo', 'example', 'init', 'start', 'tutorial'],
  'rank-pattern': ['rank', 'ranks'],
  report: ['compare', 'plot', 'results', 'summary'],
  serve: ['api', 'deploy', 'server', 'vllmserve'],
  train: ['adapt', 'finetune', 'fit', 'llmft', 'lora', 'pretrain', 'sft'],
  'train --resume': ['continue', 'resume'],
  'train --task preference': ['align', 'dpo', 'kto', 'orpo', 'preference', 'reward', 'simpo'],
  tune: ['grid', 'hpo', 'hyperparameters', 'optimize', 'search', 'sweep'],
}

/** Ours for the name that was typed, as `train --resume`; null where nobody calls one so. */
export const otherCommand = (typed: string): string | null => {
  const plain = typed.replaceAll(/[-_]/g, '').toLowerCase()
  return Object.entries(otherCommands).find(([, names]) => names.includes(plain))?.[0] ?? null
}

/** Every other name, for tests. */
export const otherCommandNames = Object.values(otherCommands).flat()

const widest = Math.max(...commandGroups.flatMap(({ commands }) => commands.map(({ name }) => name.length)))

const line = ({ name, summary }: CommandEntry): string => `  ${name.padEnd(widest)}  ${summary}`

/** `salora --help`: the commands in groups, one line each. */
const programHelp = (): string =>
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
    '    Trains for a minute or two, prints the accuracy, and writes runs/sentiment-salora-1.',
    '',
    'Exit codes: 0 success, 1 failure, 2 wrong usage, 130 stopped by Ctrl-C.',
    '',
  ].join('\n')

/** The same for a command whose name has two words, as `ngram`. */
const groupHelp = (word: string, entries: readonly CommandEntry[]): string =>
  [
    `Usage: salora ${word} <command> [options]`,
    '',
    'Commands:',
    ...entries.map(line),
    '',
    `salora ${word} <command> --help explains a command.`,
    '',
  ].join('\n')
