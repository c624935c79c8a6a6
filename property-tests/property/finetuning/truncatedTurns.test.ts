/** Truncation of conversations by turns: the expected tokens are written by hand, exchange by exchange. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { unlabeled } from '../../../accelerated/objectives/labeledTokens.js'
import { finetuneJob } from '../../../finetuning/nodeMachine.js'
import type { FinetuneOptions, RunConfig, RunResult } from '../../../finetuning/run/run.js'
import { loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { openTextTokens, plainTextOptions } from '../../../finetuning/tasks/texts/tokens.js'
import { saloraIn } from '../../cli/inProcess.js'
import { fixtures } from '../../golden/golden.js'
import { refusalOf } from '../../support/refusal.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('turns')
/** <s> ROLE WORDS </s>, where the role is w47, w48 or w49. */
const marked =
  "{% for m in messages %}{{ '<s> ' + {'system': 'w47', 'user': 'w48', 'assistant': 'w49'}[m['role']] + ' ' + m['content'] + ' </s> ' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<s> w49 ' }}{% endif %}"
/** The system prompt is a part of the first message of the user, as in LLaMA 2. */
const merged =
  "{% set s = messages[0]['content'] + ' ' if messages[0]['role'] == 'system' else '' %}{% for m in messages %}" +
  "{% if m['role'] == 'user' %}{{ '<s> w48 ' + (s if loop.index0 <= 1 else '') + m['content'] + ' w47 ' }}" +
  "{% elif m['role'] == 'assistant' %}{{ m['content'] + ' </s> ' }}{% endif %}{% endfor %}"

const modelWith = async (name: string, template: string): Promise<void> => {
  await cp(join(fixtures, 'llama'), join(folder, name), { recursive: true })
  await writeFile(join(folder, name, 'tokenizer_config.json'), JSON.stringify({ chat_template: template }))
}
beforeAll(async () => {
  await modelWith('marked', marked)
  await modelWith('merged', merged)
})

const message = (role: string) => (content: string) => ({ role, content })
const [system, user, assistant] = [message('system'), message('user'), message('assistant')]
const three = [system('w3'), user('w5'), assistant('w6 w7'), user('w8'), assistant('w9'), user('w10'), assistant('w11')]
const rowsOf = (...rows: readonly (readonly object[])[]): string =>
  write('rows.jsonl', rows.map((messages) => JSON.stringify({ messages })).join('\n'))

type Truncated = { readonly ids: readonly number[]; readonly learned: string; readonly cuts: readonly object[] }
const tokenize = async (rows: readonly (readonly object[])[], maxLength: number, model = 'marked', more: Partial<TaskOptions> = {}) => {
  const data = rowsOf(...rows)
  const { evaluation, text } = await loadTask({
    task: 'alpaca',
    data,
    evalData: data,
    promptTemplate: 'chat',
    truncation: 'turns',
    ...more,
  })
  const tokens = await openTextTokens(await openModelFolder(join(folder, model)), text ?? plainTextOptions, maxLength)
  const all = evaluation.examples.flatMap((example) => [...tokens.explained(example)])
  return {
    texts: all.map(({ example, cuts }): Truncated => {
      const ids = Array.from(example.inputIds)
      return { ids, cuts, learned: ids.map((_, i) => (i > 0 && example.targets[i - 1] !== unlabeled ? '+' : '-')).join('') }
    }),
    warnings: tokens.warnings(),
  }
}
const one = async (...args: Parameters<typeof tokenize>): Promise<Truncated> => (await tokenize(...args)).texts[0] as Truncated

const opening = [1, 47, 3, 2]
const [first, second, third] = [
  [1, 48, 5, 2, 1, 49, 6, 7, 2],
  [1, 48, 8, 2, 1, 49, 9, 2],
  [1, 48, 10, 2, 1, 49, 11, 2],
] as const

describe('a conversation that is too long', () => {
  it('loses whole exchanges, the oldest first, and keeps its system prompt', async () => {
    expect(await one([three], 29)).toMatchObject({ ids: [...opening, ...first, ...second, ...third], cuts: [] })
    for (const maxLength of [28, 20])
      expect(await one([three], maxLength)).toEqual({
        ids: [...opening, ...second, ...third],
        learned: `${'-'.repeat(10)}++${'-'.repeat(6)}++`,
        cuts: [{ at: 6, tokens: 9, exchanges: 1 }],
      })
    for (const maxLength of [19, 12])
      expect(await one([three], maxLength)).toEqual({
        ids: [...opening, ...third],
        learned: `${'-'.repeat(10)}++`,
        cuts: [{ at: 6, tokens: 17, exchanges: 2 }],
      })
  })

  it('loses tokens of its last exchange where not even that fits, and keeps the opening of the template', async () => {
    expect(await one([three], 11)).toEqual({
      ids: [...opening, 1, 48, 2, 1, 49, 11, 2],
      learned: '---------++',
      cuts: [
        { at: 6, tokens: 17, exchanges: 2 },
        { at: 6, tokens: 1 },
      ],
    })
    const long = Array.from({ length: 20 }, (_, i) => `w${20 + i}`).join(' ')
    // a quarter of the tokens is left to the exchange, however long the system prompt is
    const { ids, learned } = await one([[system(long), user('w5'), assistant('w6 w7 w8')]], 16)
    expect(ids).toEqual([1, 47, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 1, 49, 6, 7])
    expect(learned).toBe(`${'-'.repeat(14)}++`)
    // without turns, the start of the template is lost
    expect((await one([three.slice(0, 3)], 9, 'marked', { truncation: 'tokens' })).ids).toEqual([1, 48, 5, 2, 1, 49, 6, 7, 2])
    expect((await one([three.slice(0, 3)], 9)).ids).toEqual([1, 47, 3, 2, 1, 48, 1, 49, 6])
  })

  it('is rendered anew, so that a template writes the system prompt where it belongs', async () => {
    expect((await one([three], 14, 'merged')).ids).toEqual([1, 48, 3, 8, 47, 9, 2, 1, 48, 10, 47, 11, 2])
    expect((await one([three], 10, 'merged')).ids).toEqual([1, 48, 3, 10, 47, 11, 2])
  })

  it('has exchanges of several messages, which stay together', async () => {
    const tools = [user('w5'), user('w6'), assistant('w7'), assistant('w8'), user('w9'), assistant('w10'), user('w11')]
    expect((await one([tools], 12)).ids).toEqual([1, 48, 9, 2, 1, 49, 10, 2])
    expect((await one([tools], 7)).ids).toEqual([1, 48, 2, 1, 49, 10, 2]) // the last message has no answer
    const twice = [user('w5'), assistant('w7'), user('w8'), user('w9'), assistant('w10')]
    expect((await one([twice], 16)).ids).toEqual([1, 48, 8, 2, 1, 48, 9, 2, 1, 49, 10, 2])
  })

  it(`loses as few exchanges as possible (seed ${SEED})`, async () => {
    const word = fc.integer({ min: 3, max: 46 })
    const exchange = fc.tuple(fc.array(word, { minLength: 1, maxLength: 3 }), fc.array(word, { minLength: 1, maxLength: 3 }))
    const words = (ids: readonly number[]): string => ids.map((id) => `w${id}`).join(' ')
    const given = fc.tuple(fc.array(exchange, { minLength: 1, maxLength: 6 }), fc.boolean(), fc.integer({ min: 14, max: 80 }))
    await fc.assert(
      fc.asyncProperty(given, async ([exchanges, hasSystem, maxLength]) => {
        const turns = exchanges.flatMap(([asked, answered]) => [user(words(asked)), assistant(words(answered))])
        const parts = exchanges.map(([asked, answered]) => [1, 48, ...asked, 2, 1, 49, ...answered, 2])
        const start = hasSystem ? [1, 47, 4, 2] : []
        const suffixes = parts.map((_, i) => [...start, ...parts.slice(i).flat()])
        const fitting = suffixes.find((ids) => ids.length <= maxLength) // always: the longest exchange has 12 tokens, with the start 16
        if (fitting === undefined) return
        expect((await one([[...(hasSystem ? [system('w4')] : []), ...turns]], maxLength)).ids).toEqual(fitting)
      }),
      { seed: SEED, numRuns: 40 },
    )
  })
})

describe('what truncation drops', () => {
  it('is counted in a warning before a run, and by salora inspect', async () => {
    const [short, long] = [three.slice(0, 3), [user('w5 w5 w5 w5 w5 w5'), assistant('w6 w7 w8 w9 w10')]]
    const { warnings } = await tokenize([three, short, long], 13)
    expect(warnings).toEqual([
      '2 of 3 texts are longer than --max-length 13: 1 lose their oldest exchanges, 1 are left with one exchange, which loses tokens',
    ])
    const { stdout } = await saloraIn(['inspect', 'rows.jsonl', '--task', 'alpaca', '--model', 'marked', '--max-length', '13'], {
      cwd: folder,
    })
    expect(stdout).toContain('truncated   2 texts by --max-length 13; 1 lose whole exchanges, 1 lose tokens\n')
    expect(stdout).toContain('  row 1: 12 tokens, 2 learned; truncation drops 17 of 29\n')
    expect(stdout).toContain('‹2 exchanges of 17 tokens dropped›')
  })

  it('is refused for a name that there is not, and for a template of one exchange', async () => {
    const data = rowsOf(three)
    const message = (more: Partial<TaskOptions>) => refusalOf(() => loadTask({ task: 'alpaca', data, evalData: data, ...more }))
    expect(await message({ truncation: 'left', promptTemplate: 'chat' })).toBe('--set truncation: expected turns or tokens, got "left"')
    expect(await message({ truncation: 'turns' })).toBe(
      '--set truncation: expected tokens, as --prompt-template paper has one exchange, got "turns"',
    )
    expect(await message({ task: 'text', truncation: 'turns' })).toBe('--set truncation: expected none with --task text, got "turns"')
  })
})

describe('the choice of a run', () => {
  const options = (output: string, task: Partial<TaskOptions> = {}, more: Partial<FinetuneOptions> = {}): FinetuneOptions => ({
    model: join(folder, 'marked'),
    task: { task: 'alpaca', data: join(folder, 'many.jsonl'), ...task },
    output: join(folder, output),
    settings: { method: 'lora', maxSteps: 2, evalSteps: 2, batchSize: 8, maxLength: 20, device: 'cpu', rank: 2 },
    ...more,
  })
  const run = async (given: FinetuneOptions): Promise<RunResult> => {
    for await (const event of finetuneJob(given, new AbortController().signal)) if (event.kind === 'result') return event.result
    throw new Error('expected a result')
  }
  const config = async (output: string): Promise<RunConfig> =>
    JSON.parse(await readFile(join(folder, output, 'config.json'), 'utf8')) as RunConfig
  const longer = { resume: true, settings: { ...options('').settings, maxSteps: 4 } }

  it('is turns with a chat template, is stored, and is kept by --resume and by evaluate', async () => {
    const rows = Array.from({ length: 20 }, (_, i) => [...three.slice(0, 5), user(`w${12 + i}`), assistant('w11')])
    write('many.jsonl', rows.map((messages) => JSON.stringify({ messages })).join('\n'))
    const [own, turns, tokens] = [
      await run(options('own')),
      await run(options('turns', { truncation: 'turns' })),
      await run(options('tokens', { truncation: 'tokens' })),
    ]
    expect(own.last.scores).toEqual(turns.last.scores)
    expect(own.last.scores).not.toEqual(tokens.last.scores)
    expect((await config('own')).task.truncation).toBe('turns')
    expect((await config('tokens')).task.truncation).toBe('tokens')
    expect((await run(options('tokens', {}, longer))).stepsDone).toBe(4)
    expect((await config('tokens')).task.truncation).toBe('tokens')
    const evaluated = async (output: string): Promise<unknown> => {
      const { stdout } = await saloraIn(['evaluate', '--run', output, '--device', 'cpu', '--json'], { cwd: folder })
      return (JSON.parse(stdout) as RunResult['last']).scores['loss']
    }
    expect(await evaluated('own')).toBeCloseTo(own.best?.scores['loss'] ?? NaN, 5)
    expect(await refusalOf(() => run(options('own', { truncation: 'tokens' }, longer)))).toContain('truncation was "turns" and is "tokens"')
  })

  it('stays tokens for a run that began before there was this choice', async () => {
    await run(options('old', { promptTemplate: 'chat', truncation: 'tokens' }))
    const { task, ...others } = await config('old')
    const { truncation: _, ...before } = task
    await writeFile(join(folder, 'old', 'config.json'), JSON.stringify({ ...others, task: before }))
    expect((await run(options('old', {}, longer))).stepsDone).toBe(4)
    expect((await config('old')).task).toEqual(before)
    expect((await run(options('tokens', {}, longer))).last.scores).toEqual((await run(options('old', {}, longer))).last.scores)
  })
})
