/** Mistakes on the command line, each with the one line that answers it: a task, a command and what is wrong with it, in mistakes.txt. */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { fixtures } from '../golden/golden.js'
import { saloraIn } from './inProcess.js'
import { salora } from './spawnSalora.js'
import { writeAdapter } from './tinyAdapter.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('mistakes')
const template = "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}"
const rows: Readonly<Record<string, (i: number) => object>> = {
  'rows.jsonl': (i) => ({ instruction: `w${3 + i}`, output: 'w10 w11' }),
  'pairs.jsonl': (i) => ({ prompt: `w${3 + i}`, chosen: 'w10 w11', rejected: `w20 w${21 + (i % 5)}` }),
  'choices.jsonl': (i) => ({ question: `w${3 + i}`, choices: ['w10', 'w11 w12'], answer: i % 2 }),
}

beforeAll(async () => {
  for (const family of ['llama', 'roberta', 'bert', 'mpnet', 'qwen3'])
    await cp(join(fixtures, family), join(cwd, family), { recursive: true })
  await cp(join(fixtures, 'llama'), join(cwd, 'talker'), { recursive: true })
  await writeFile(join(cwd, 'talker', 'tokenizer_config.json'), JSON.stringify({ chat_template: template }))
  await writeAdapter(join(cwd, 'adapter'), join(cwd, 'tiny'), ['bad', 'good'])
  for (const [name, row] of Object.entries(rows))
    await writeFile(join(cwd, name), Array.from({ length: 40 }, (_, i) => JSON.stringify(row(i))).join('\n'))
})

type Case = { readonly command: string; readonly files: readonly (readonly [string, string])[]; readonly expected: string }

const words = (text: string): readonly string[] => (text.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'(.*)'$/, '$1'))

/** A case has the files that were written since the one before it. */
const casesIn = (text: string): readonly Case[] => {
  const named = new Map<string, string>()
  const expand = (command: string): string => {
    const [name = '', ...rest] = command.split(' ')
    const beginning = named.get(name)
    return beginning === undefined ? command : expand([beginning, ...rest].join(' '))
  }
  const cases: Case[] = []
  const files: Array<[string, string]> = []
  for (const line of text.split('\n')) {
    const rest = line.slice(2)
    const file = files.at(-1)
    if (line.startsWith('= ')) named.set(rest.split(' ')[0] ?? '', rest.slice(rest.indexOf(' ') + 1))
    else if (line.startsWith('< ')) files.push([rest, ''])
    else if (line.startsWith('|') && file !== undefined) file[1] += `${rest}\n`
    else if (line.startsWith('$ ')) cases.push({ command: expand(rest), files: files.splice(0), expected: '' })
    else if (/^[12] /.test(line)) cases.push({ ...(cases.pop() as Case), expected: line })
  }
  return cases
}

const cases = casesIn(await readFile(join(import.meta.dirname, 'mistakes.txt'), 'utf8'))

it.each(cases.map(({ command, ...rest }) => [command.slice(0, 150), { command, ...rest }] as const))(
  'salora %s',
  async (_, { command, files, expected }) => {
    for (const [name, content] of files) {
      await mkdir(dirname(join(cwd, name)), { recursive: true })
      await writeFile(join(cwd, name), content)
    }
    const before = await entries()
    const { code, stdout, stderr } = await saloraIn(words(command), { cwd })
    expect(`${code} ${stderr.replaceAll(cwd, '@')}`).toMatch(matching(expected))
    expect(stdout).toBe('')
    expect(await entries()).toEqual(before)
  },
)

/** What is in the folder, but for two that are made before a refusal. */
const entries = async () => (await readdir(cwd)).filter((name) => name !== 'runs' && name !== 'transfers')

/** One line, in which … stands for any text. */
const matching = (line: string): RegExp =>
  new RegExp(
    `^${line
      .split('…')
      .map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&'))
      .join('[^\\n]*')}\\n$`,
  )

it('a mistake in a process has the same line', async () => {
  for (const { command, expected } of [cases[0] as Case, cases.find(({ command }) => command.endsWith('--max-length 79')) as Case]) {
    const { code, stdout, stderr } = await salora(words(command), { cwd })
    expect(`${code} ${stderr}`).toMatch(matching(expected))
    expect(stdout).toBe('')
  }
})
