import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { commandGroups } from '../../cli/commandGroups.js'
import { otherCommand, otherCommandNames } from '../../cli/program.js'
import { aliases, otherValues } from '../../cli/options/aliases.js'
import { suggestFlag, suggestSetting } from '../../cli/options/suggestions.js'
import { withSuggestion } from '../../cli/terminal/reportError.js'
import type { Command } from '../../cli/terminal/command.js'
import { flagsIn } from '../../finetuning/commandLine/parse.js'
import { isViaSet, toFlag, toKebab } from '../../finetuning/commandLine/optionNames.js'
import { helpText, wrapped } from '../../finetuning/commandLine/help.js'
import { versions } from '../../finetuning/run/versions.js'
import { saloraHere } from './inProcess.js'
import { salora } from './spawnSalora.js'

const entries = commandGroups.flatMap(({ commands }) => commands)
const names = entries.map(({ name }) => name)
const load = async (name: string): Promise<Command> => {
  const entry = entries.find((one) => one.name === name)
  if (entry === undefined) throw new Error(`expected a command, got ${name}`)
  return entry.load()
}
const linesOf = (text: string): readonly string[] => text.trimEnd().split('\n')

describe('salora --help', () => {
  it('groups the commands, with one imperative line each, and shows an example', async () => {
    const { code, stdout, stderr } = await salora(['--help'], { cwd: tmpdir() })
    expect([code, stderr]).toEqual([0, ''])
    for (const { heading, commands } of commandGroups) {
      expect(stdout).toContain(`\n${heading}:\n`)
      for (const { name, summary } of commands) expect(stdout).toMatch(new RegExp(`^ {2}${name} +${summary.replaceAll('.', '\\.')}$`, 'm'))
    }
    expect(commandGroups.map(({ heading }) => heading)).toEqual(['Start', 'Train and use', 'Evaluate and compare (the paper)', 'Machine'])
    expect(stdout).toMatch(/\nExample:\n {2}salora quickstart\n/)
    expect(linesOf(stdout).filter((line) => line.length > 100)).toEqual([])
    for (const { summary } of entries) expect(summary).toMatch(/^[A-Z].{10,70}[^.]$/)
  })

  it('is printed to standard error without a command, as wrong usage', async () => {
    const { code, stdout, stderr } = await salora([], { cwd: tmpdir() })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('quickstart')
  })

  it('also has the short flags -h and -V', async () => {
    expect(await saloraHere('-h')).toEqual(await saloraHere('--help'))
    for (const flag of ['-V', '--version'])
      expect(await saloraHere(flag)).toEqual({ code: 0, stdout: `${versions['salora']}\n`, stderr: '' })
  })

  it('is also salora help, of a command too, and --version is salora version', async () => {
    expect(await saloraHere('help')).toEqual(await saloraHere('--help'))
    for (const name of ['train', 'ngram', 'ngram train'])
      expect(await saloraHere('help', ...name.split(' '))).toEqual(await saloraHere(...name.split(' '), '--help'))
    expect(await saloraHere('version')).toEqual(await saloraHere('--version'))
  })

  it('names our command for what others call it: none of these names is a command of ours, and each one named exists', async () => {
    expect(otherCommandNames.length).toBeGreaterThan(60)
    expect(new Set(otherCommandNames).size).toBe(otherCommandNames.length)
    for (const typed of otherCommandNames) {
      expect(names.map((name) => name.split(' ')[0])).not.toContain(typed)
      const [name = '', flag] = otherCommand(typed)?.split(' ') ?? []
      const { definition } = await load(name)
      if (flag !== undefined) expect(Object.keys(flagsIn(definition.flags)).map(toFlag)).toContain(flag)
    }
  })
})

describe.each(names)('salora %s', (name) => {
  const words = name.split(' ')

  it('prints usage, flags under headings, --json, --quiet and an example with its result, in lines of at most 100 columns', async () => {
    const { code, stdout, stderr } = await saloraHere(...words, '--help')
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(new RegExp(`\\n\\nUsage: salora ${name} .*\\[options\\]\\n`))
    expect(stdout).toMatch(new RegExp(`\\n\\nExamples?:\\n {2}.*salora ${name}.*\\n {4}\\S`))
    expect(stdout).toMatch(/\nGeneral:\n {2}--json [\s\S]*\n {2}-q, --quiet [\s\S]*\n {2}-h, --help /)
    expect(linesOf(stdout).filter((line) => line.length > 100 && !line.startsWith('Usage:') && !/^ {2}\S*.*salora /.test(line))).toEqual([])
    const { description } = (await load(name)).definition
    expect(stdout.startsWith(`${wrapped(description, 100).join('\n')}\n\nUsage:`)).toBe(true)
  })

  it('has -h as --help, -V as --version, and understands -q', async () => {
    expect(await saloraHere(...words, '-h')).toEqual(await saloraHere(...words, '--help'))
    for (const flag of ['-V', '--version'])
      expect(await saloraHere(...words, flag)).toEqual({ code: 0, stdout: `${versions['salora']}\n`, stderr: '' })
    // help is printed whatever else is wrong, so that -q is parsed and nothing runs
    expect((await saloraHere(...words, '-q', '--help')).code).toBe(0)
    expect((await saloraHere(...words, '-q', '--no-such-flag')).stderr).toMatch(/^--no-such-flag: unknown option \(/)
  })

  it('knows where a word without a flag belongs: in flags of its own, or it takes arguments', async () => {
    const { flags, looseWords, arguments: words = [] } = (await load(name)).definition
    for (const flag of looseWords?.flags ?? []) expect(Object.keys(flagsIn(flags))).toContain(flag)
    if (words.length > 0) expect(looseWords).toBeUndefined()
  })

  it('describes each flag by a phrase that stands alone, and lists them all by --help-all', async () => {
    const { definition } = await load(name)
    const all = (await saloraHere(...words, '--help-all')).stdout.replaceAll(/\s+/g, ' ')
    const [, settings = ''] = all.split(' Settings (--set NAME=VALUE): ')
    for (const [flag, { description, hidden, defaultText }] of Object.entries(flagsIn(definition.flags))) {
      if (hidden) continue
      expect(description, flag).toMatch(/^([A-Z]|β|ε|\d)/)
      expect(description, flag).not.toMatch(/\.$|\(default/)
      if (isViaSet(flag)) {
        expect(settings, flag).toMatch(new RegExp(` ${toKebab(flag)}(,| |$)`))
        continue
      }
      expect(all, flag).toContain(`${toFlag(flag)} `)
      expect(all, flag).toContain(description.replaceAll(/\s+/g, ' '))
      if (defaultText !== null) expect(all, flag).toContain(`${description} (default: ${defaultText})`)
    }
  })
})

describe('salora train --help', () => {
  it('shows what most people need in at most 60 lines of 100 columns, and --help-all shows the rest', async () => {
    const { definition } = await load('train')
    const [short, long] = [false, true].map((all) => helpText(definition, { width: 100, all }))
    expect(linesOf(short ?? '').length).toBeLessThanOrEqual(60)
    for (const flag of '--model --task --method --learning-rate --epochs --batch-size --rank --lora-alpha --density --output'.split(' '))
      expect(short).toContain(`\n  ${flag} `)
    for (const flag of ['--weight-decay', '--lora-dropout', '--use-dora', '--set']) {
      expect(short).not.toContain(flag)
      expect(long).toContain(`\n  ${flag} `)
    }
    expect(long).toMatch(/\nLoRA options:\n[\s\S]*\nSaLoRA options:\n {2}--density .*\n\n[\s\S]*\nSettings \(--set NAME=VALUE\):\n/)
    expect(linesOf(long ?? '').filter((line) => /^ {2}(-\w, )?--/.test(line)).length).toBeLessThanOrEqual(80)
  })

  it('adapts to the width of the terminal', async () => {
    const { definition } = await load('train')
    for (const width of [60, 80, 100])
      expect(
        linesOf(helpText(definition, { width, all: true })).filter(
          (line) => line.length > width && !/^(Usage:| {2}(salora|--))/.test(line),
        ),
      ).toEqual([])
  })
})

describe('an unknown option', () => {
  it("another tool's name may have capitals, underscores and any number of dashes", () => {
    for (const typed of ['--LORA_R', '-Lora-R', 'lora_r']) expect(suggestFlag(typed, ['rank'])).toBe('did you mean --rank? PEFT: lora_r')
    expect(suggestFlag('--FP16', ['precision'])).toBe('did you mean --precision mixed? Trainer: fp16')
    expect(suggestSetting('LORA_R', ['rank'])).toBe('did you mean "rank"? PEFT: lora_r')
    expect(withSuggestion('--device: expected auto or cpu or cuda, got "GPU"')).toMatch(/\(did you mean --device cuda\?\)$/)
  })
})

describe('the names of other tools', () => {
  it('lead to flags of a command, each at most once per tool, and are many', async () => {
    const flags = new Set<string>()
    for (const name of ['train', 'generate', 'export'])
      for (const flag of Object.keys(flagsIn((await load(name)).definition.flags))) flags.add(flag)
    const all = Object.values(aliases).flatMap((table) => Object.entries(table))
    for (const [name, meant] of all) {
      expect(flags, name).toContain(meant.split(' ')[0])
      expect(name).toMatch(/^[a-z0-9_]+$/)
    }
    expect(all.length).toBeGreaterThanOrEqual(60)
    for (const tool of ['Trainer', 'PEFT', 'TRL', 'LLaMA-Factory', 'Axolotl'])
      expect(Object.keys(aliases[tool] ?? {}).length).toBeGreaterThan(8)
  })
})

describe('an error about a value that does not exist', () => {
  it('an unknown task gets a task file as a suggestion, though its error comes from the run', () => {
    const line = '--task: expected cola, sst2 or text, or a .csv file, got "classification"'
    expect(withSuggestion(line)).toBe(`${line} (did you mean --task FILE.csv?)`)
  })

  it('suggestions for unknown values are values that exist', async () => {
    for (const [flag, values] of Object.entries(otherValues))
      for (const suggestion of Object.values(values)) expect(suggestion, flag).toMatch(/^--(method|task|device|precision|format) \S+/)
  })
})
