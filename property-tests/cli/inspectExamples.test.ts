/** salora inspect shows examples token by token: ids and learned tokens as written here by hand, and nothing that a terminal would obey. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { exampleLines } from '../../cli/format/inspection.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraIn } from './inProcess.js'

const { folder: cwd } = temporaryFolder('examples')
const template =
  "{% for m in messages %}{{ '<s> ' + ('w48' if m['role'] == 'user' else 'w49') + ' ' + m['content'] + ' </s> ' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<s> w49 ' }}{% endif %}"
const [esc, override] = ['\u001b', '\u202e']
const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })
const words = (from: number, to: number): string => Array.from({ length: to - from + 1 }, (_, i) => `w${from + i}`).join(' ')

beforeAll(async () => {
  await cp(join(fixtures, 'llama'), join(cwd, 'llama'), { recursive: true })
  await writeFile(join(cwd, 'llama', 'tokenizer_config.json'), JSON.stringify({ chat_template: template }))
  // a word of the vocabulary that would turn a terminal red and a line around
  const file = join(cwd, 'llama', 'tokenizer.json')
  await writeFile(file, (await readFile(file, 'utf8')).replace('"w47"', JSON.stringify(`${esc}[31m${override}w47⟧`)))
  const rows = [
    { messages: [user('w5'), assistant('w6 w7'), user('w8'), assistant('w9')] },
    { messages: [user(words(5, 17)), assistant(words(20, 27))] },
    { messages: [user(`${esc}[31m${override}w47⟧`), assistant('w6')] },
  ]
  await writeFile(join(cwd, 'chats.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))
})
afterEach(() => vi.unstubAllEnvs())

const inspect = (...args: readonly string[]) =>
  saloraIn(['inspect', 'chats.jsonl', '--task', 'alpaca', '--model', 'llama', '--max-length', '17', ...args], { cwd })

type Shown = {
  readonly row: number
  readonly length: number
  readonly learned: number
  readonly cuts: readonly object[]
  readonly tokens: readonly { readonly id: number; readonly text: string; readonly learned: boolean }[]
}
const shown = async (...args: readonly string[]): Promise<readonly Shown[]> =>
  (JSON.parse((await inspect(...args, '--json')).stdout) as { readonly examples: readonly Shown[] }).examples
const learnedOf = ({ tokens }: Shown): string => tokens.map(({ learned }) => (learned ? '+' : '-')).join('')

/** A terminal that shows colors, or none. */
const onTerminal = async <T>(colors: boolean, work: () => Promise<T>): Promise<T> => {
  const before = [process.stdout.isTTY, process.stdout.hasColors] as const
  Object.assign(process.stdout, { isTTY: true, hasColors: () => colors })
  try {
    return await work()
  } finally {
    Object.assign(process.stdout, { isTTY: before[0], hasColors: before[1] })
  }
}

describe('salora inspect of conversations', () => {
  it('has the ids, texts and learned tokens of the first examples in --json', async () => {
    const [first, second, ...more] = await shown()
    expect(more).toEqual([])
    expect(first?.tokens.map(({ id }) => id)).toEqual([1, 48, 5, 2, 1, 49, 6, 7, 2, 1, 48, 8, 2, 1, 49, 9, 2])
    expect(learnedOf(first as Shown)).toBe('------+++------++')
    expect(first?.tokens.map(({ text }) => text.trim()).join(' ')).toBe(
      '<s> w48 w5 </s> <s> w49 w6 w7 </s> <s> w48 w8 </s> <s> w49 w9 </s>',
    )
    expect(first).toMatchObject({ row: 1, length: 17, learned: 5, cuts: [] })
    // of 2 + 16 + 9 tokens, the opening stays, the prompt keeps 8 at its end, and the response 7 at its start
    expect(second?.tokens.map(({ id }) => id)).toEqual([1, 48, 13, 14, 15, 16, 17, 2, 1, 49, 20, 21, 22, 23, 24, 25, 26])
    expect(learnedOf(second as Shown)).toBe(`${'-'.repeat(10)}${'+'.repeat(7)}`)
    expect(second).toMatchObject({
      row: 2,
      length: 17,
      cuts: [
        { at: 2, tokens: 8 },
        { at: 17, tokens: 2 },
      ],
    })
  })

  it('learns prompts too with --train-on-inputs, all tokens but the first, and without the chat template responses', async () => {
    expect(learnedOf((await shown('--train-on-inputs', '--examples', '1'))[0] as Shown)).toBe(`-${'+'.repeat(16)}`)
    await writeFile(join(cwd, 'one.jsonl'), JSON.stringify({ instruction: 'w5', output: ' w6 w7' }))
    const { stdout } = await saloraIn(
      ['inspect', 'one.jsonl', '--task', 'alpaca', '--model', 'llama', '--prompt-template', 'paper', '--json', '--max-length', '64'],
      { cwd },
    )
    const [paper] = (JSON.parse(stdout) as { readonly examples: readonly Shown[] }).examples
    expect(learnedOf(paper as Shown)).toMatch(/^-+\+\+\+$/)
    expect(paper?.tokens.slice(-3).map(({ id }) => id)).toEqual([6, 7, 2])
  })

  it('marks learned tokens with brackets where there is no color, and shows special tokens and what truncation drops', async () => {
    const { stdout } = await inspect('--max-length', '17')
    expect(stdout).toContain(
      [
        'examples    learned tokens are in ⟦⟧; · separates tokens',
        '  row 1: 17 tokens, 5 learned',
        '  <s>·w48· w5·</s>·<s>·w49·⟦ w6· w7·</s>⟧·<s>·w48· w8·</s>·<s>·w49·⟦ w9·</s>⟧',
        '  row 2: 17 tokens, 7 learned; truncation drops 10 of 27',
        '  <s>·w48‹8 tokens dropped› w13· w14· w15· w16· w17·</s>·<s>·w49·⟦ w20· w21· w22· w23· w24· w25· w26⟧‹2 tokens dropped›',
        '',
      ].join('\n'),
    )
  })

  it('colors learned tokens on a terminal, unless it has no colors or NO_COLOR is set', async () => {
    const green = (text: string): string => `${esc}[32m${text}${esc}[39m`
    const colored = await onTerminal(true, () => inspect('--examples', '1'))
    expect(colored.stdout).toContain(green(' w6'))
    expect(colored.stdout).not.toContain(green(' w8'))
    expect(colored.stdout).not.toContain('⟦')
    expect((await onTerminal(false, () => inspect())).stdout).not.toContain(esc)
    vi.stubEnv('NO_COLOR', '1')
    const plain = await onTerminal(true, () => inspect('--examples', '1'))
    expect(plain.stdout).not.toContain(esc)
    expect(plain.stdout).toContain('⟦ w6')
  })

  it('escapes what a terminal would obey or the view uses as a mark', async () => {
    for (const colors of [true, false]) {
      const { stdout } = await onTerminal(colors, () => inspect('--examples', '3'))
      expect(stdout).toContain('\\u{1b}[31m\\u{202e}w47\\u{27e7}')
      expect(stdout).not.toContain(`${esc}[31m`)
      expect(stdout).not.toContain(override)
    }
    const { stdout } = await inspect('--examples', '3', '--json')
    expect(stdout).not.toContain(esc)
  })

  it('shows as many examples as --examples asks, without a model none', async () => {
    expect((await shown('--examples', '3')).map(({ row }) => row)).toEqual([1, 2, 3])
    expect(await shown('--examples', '0')).toEqual([])
    expect((await inspect('--examples', '0')).stdout).not.toContain('examples  ')
    expect(await inspect('--examples', '21')).toMatchObject({
      code: 2,
      stderr: '--examples: expected a whole number from 0 to 20, got 21\n',
    })
    const { stdout } = await saloraIn(['inspect', 'chats.jsonl', '--task', 'alpaca', '--prompt-template', 'chat'], { cwd })
    expect(stdout).not.toContain('examples  ')
  })
})

describe('the view of an example', () => {
  const token = (text: string, learned = false) => ({ id: 0, text, learned })
  it('has a bounded number of tokens and characters, and keeps line breaks', () => {
    const tokens = [token('a\n'), token('b'.repeat(5_000), true), ...Array.from({ length: 1_000 }, () => token('c'))]
    const lines = exampleLines([{ row: 1, length: 3_000, learned: 1, cuts: [], tokens }], { color: false })
    const text = lines.join('\n')
    expect(text).toContain(`  a↵\n  ·⟦${'b'.repeat(100)}…⟧·c·c`)
    expect(text).toContain('c‹and 2,744 more tokens›')
    expect(text.length).toBeLessThan(1_000)
  })

  it('marks a long token of characters that take two units as cut', () => {
    const shown = (count: number): string =>
      exampleLines([{ row: 1, length: 1, learned: 0, cuts: [], tokens: [token('𝔁'.repeat(count))] }], { color: false })[2] ?? ''
    expect(shown(100)).toBe(`  ${'𝔁'.repeat(100)}`)
    expect(shown(150)).toBe(`  ${'𝔁'.repeat(100)}…`)
  })
})
