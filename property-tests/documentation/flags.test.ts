/** Every command line of the documentation parses by the command's own definition, and every option that it names exists. */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { commandGroups } from '../../cli/commandGroups.js'
import { generationRequest } from '../../cli/options/generationRequest.js'
import { resolveFlags } from '../../cli/options/precedence.js'
import { presetValues } from '../../cli/options/presets.js'
import { dropUndefined, type Values } from '../../cli/options/settingFlags.js'
import { suggestFlag } from '../../cli/options/suggestions.js'
import { taskOptions } from '../../cli/options/taskRequest.js'
import { parseRow } from '../../evaluation/glue/sweep.js'
import type { Definition } from '../../finetuning/commandLine/definition.js'
import { quickstartSettings } from '../../finetuning/embedded/quickstart.js'
import { flagsIn as flagsOfGroups, parseArguments } from '../../finetuning/commandLine/parse.js'
import { toFlag } from '../../finetuning/commandLine/optionNames.js'
import { pagesBelow } from './pages.js'
import { saloraCommands, saloraSpans, shellCommands, shellLines, withoutBlocks, type PlacedCommand } from './shellCommands.js'

const pages = pagesBelow('.').filter((page) => /^(README|CONTRIBUTING)\.md$|^docs\//.test(page))
const texts = new Map(pages.map((page) => [page, readFileSync(page, 'utf8')]))
const commands = [...texts].flatMap(([page, text]) => saloraCommands(page, text))
const spans = [...texts].flatMap(([page, text]) => saloraSpans(page, text))

const definitions = new Map<string, Definition>()
beforeAll(async () => {
  for (const { name, load } of commandGroups.flatMap((group) => group.commands)) definitions.set(name, (await load()).definition)
})

/** What the command checks before it opens a file: settings, presets, tasks, rows of a sweep, generation. @throws one line */
const checkValues = (command: string, all: Values): void => {
  if (command === 'merge') return // its method is none of training, and its parser checks it
  // a file of ranks is read when the command runs
  const flags = Object.fromEntries(Object.entries(dropUndefined(all)).filter(([name, value]) => value !== null && name !== 'rankPattern'))
  // verify accepts a list
  const precisions = command === 'verify' ? String(flags['precision'] ?? 'float32').split(',') : [flags['precision']]
  for (const precision of precisions)
    resolveFlags({ ...(command === 'quickstart' ? quickstartSettings : {}), ...flags, ...dropUndefined({ precision }) })
  if (typeof flags['preset'] === 'string') presetValues(flags['preset'], null, String(flags['task']))
  if (typeof flags['task'] === 'string') taskOptions(flags)
  if (command === 'generate' || command === 'style-transfer') generationRequest(flags)
  if (command === 'glue' && Array.isArray(flags['methods']))
    for (const row of flags['methods'].map(String).map(parseRow)) resolveSettings({ ...row.settings, ...row.overrides })
}

/** null, or what the command would print. */
const problemOf = ({ words }: PlacedCommand): string | null => {
  const name = [words.slice(0, 2).join(' '), words[0] ?? ''].find((known) => definitions.has(known))
  const definition = definitions.get(name ?? '')
  if (name === undefined || definition === undefined) return /^(-|[A-Z]+$)/.test(words[0] ?? '') ? null : 'no such command'
  try {
    const parsed = parseArguments(definition, words.slice(name.split(' ').length), suggestFlag)
    if (parsed.kind === 'values') checkValues(name, parsed.values.flags)
    return null
  } catch (error) {
    return (error as Error).message
  }
}

const problemsOf = (placed: readonly PlacedCommand[]): readonly string[] =>
  placed.flatMap((one) => {
    const problem = problemOf(one)
    return problem === null ? [] : [`${one.place} → ${problem}`]
  })

/** Except npm's. */
const flagsIn = (text: string): readonly string[] =>
  [...text.matchAll(/(?<![\w-])--(?!ignore-scripts\b)([a-z][a-z0-9-]+)/g)].map(([flag]) => flag)

describe('the shell blocks of the documentation', () => {
  it('are cut into commands and words as a shell cuts them', () => {
    const lines = shellLines(
      'echo \'a # b\' | npx salora predict --run "my run" > out.csv  # a comment\nnpm ci && npm start\nsalora x \\\n  --y',
    )
    expect(lines).toEqual(['echo \'a # b\' | npx salora predict --run "my run" > out.csv', 'npm ci && npm start', 'salora x --y'])
    expect(lines.flatMap(shellCommands)).toEqual([
      { words: ['echo', 'a # b'], input: '' },
      { words: ['npx', 'salora', 'predict', '--run', 'my run'], input: 'a # b\n', output: 'out.csv' },
      { words: ['npm', 'ci'], input: '' },
      { words: ['npm', 'start'], input: '' },
      { words: ['salora', 'x', '--y'], input: '' },
    ])
  })

  it('have commands of salora that parse: options that exist, with values that are valid', () => {
    expect(commands.length).toBeGreaterThan(50)
    expect(problemsOf(commands)).toEqual([])
  })

  it('would fail with an unknown command, an unknown option, a wrong value or a wrong setting', () => {
    const wrong = [
      ['trian'],
      ['train', '--lora-r', '8'],
      ['train', '--learning-rate', 'fast'],
      ['train', '--method', 'lora', '--rank', '0'],
      ['train', '--preset', 'best', '--task', 'mrpc'],
      ['export', '--format', 'onnx', '--run', 'r', '--output', 'o'],
      ['glue', '--model', 'm', '--data', 'd', '--output', 'o', '--methods', 'lora,salora:retain=most'],
      ['ngram', 'train', '--order', '7', '--text', 't', '--output', 'o'],
      ['evaluate', 'a', 'b'],
    ]
    expect(wrong.filter((words) => problemOf({ place: '', words }) === null)).toEqual([])
  })
})

describe('CHANGELOG', () => {
  const text = readFileSync('CHANGELOG.md', 'utf8')
  const rows = [...text.matchAll(/^\| (`--.*`)(?: \(([a-z-]+)\))? \| (`--.*`) \|$/gm)].map(([, old = '', command, own = '']) => ({
    old: flagsIn(old),
    own: flagsIn(own),
    command,
  }))
  const flagsOf = (command?: string): ReadonlySet<string> =>
    new Set(
      [...definitions]
        .filter(([name]) => command === undefined || name === command)
        .flatMap(([, { flags }]) =>
          Object.entries(flagsOfGroups(flags)).flatMap(([name, { negatable }]) => [
            toFlag(name),
            ...(negatable ? [toFlag(name).replace('--', '--no-')] : []),
          ]),
        ),
    )

  it('renames options to names that exist, from names that no longer do', () => {
    expect(rows.length).toBeGreaterThan(20)
    const absent = rows.flatMap(({ own, command }) => own.filter((flag) => !flagsOf(command).has(flag)))
    const kept = rows.flatMap(({ old, own }) => old.filter((flag) => flagsOf().has(flag) && !own.includes(flag)))
    expect({ absent, kept }).toEqual({ absent: [], kept: [] })
  })

  it('names only options that exist outside its table of renamed ones', () =>
    expect(flagsIn(text.replace(/^\|.*$/gm, '')).filter((flag) => !flagsOf().has(flag))).toEqual([]))
})

describe('the sentences of the documentation', () => {
  it('have commands of salora that parse, although required options may be missing', () => {
    expect(spans.length).toBeGreaterThan(20)
    expect(problemsOf(spans).filter((problem) => !problem.includes(' is required'))).toEqual([])
  })

  it('name only options of some command', () => {
    const known = new Set(
      [...definitions.values()].flatMap(({ flags }) =>
        Object.entries(flagsOfGroups(flags)).flatMap(([name, { hidden, negatable }]) =>
          hidden ? [] : [toFlag(name), ...(negatable ? [toFlag(name).replace('--', '--no-')] : [])],
        ),
      ),
    )
    const ofOthers = ['--logdir']
    const wrong = [...texts].flatMap(([page, text]) =>
      [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)]
        .flatMap(([, code = '']) => (/^(npx vitest|npm|node|git|ulimit|ssh) /.test(code) ? [] : flagsIn(code)))
        .filter((flag) => !known.has(flag) && !ofOthers.includes(flag))
        .map((flag) => `${page}: ${flag}`),
    )
    expect(wrong).toEqual([])
  })
})
