/** salora train --task preference: runs of every loss, rows in every layout, refusals, and the use of the result. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors, readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { preferenceLosses } from '../../finetuning/tasks/preferences/objective.js'
import { readPreferences } from '../../finetuning/tasks/preferences/examples.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'

const { folder: cwd } = temporaryFolder('preference')
const template =
  "{% for m in messages %}{{ '<s> ' + {'system': 'w47', 'user': 'w48', 'assistant': 'w49'}[m['role']] + ' ' + m['content'] + ' </s> ' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<s> w49 ' }}{% endif %}"
const jsonl = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join('\n')
const file = async (name: string, rows: readonly object[]): Promise<string> => {
  await writeFile(join(cwd, name), jsonl(rows))
  return join(cwd, name)
}
const rows = Array.from({ length: 40 }, (_, i) => ({ prompt: `w${3 + i}`, chosen: 'w10 w11', rejected: `w20 w${21 + (i % 5)}` }))
beforeAll(async () => {
  await cp(join(fixtures, 'llama'), join(cwd, 'llama'), { recursive: true })
  await cp(join(fixtures, 'llama'), join(cwd, 'chat'), { recursive: true })
  await cp(join(fixtures, 'bert'), join(cwd, 'bert'), { recursive: true })
  await writeFile(join(cwd, 'chat', 'tokenizer_config.json'), JSON.stringify({ chat_template: template }))
  await file('pairs.jsonl', rows)
})

const train = (...args: readonly string[]) =>
  saloraIn(
    [
      ...['train', '--task', 'preference', '--device', 'cpu', '--threads', '1', '--quiet', '--json'],
      ...['--max-steps', '6', '--eval-steps', '3', '--batch-size', '8', '--max-length', '32', '--learning-rate', '1e-2'],
      ...(args.includes('--method') ? [] : ['--method', 'lora', '--rank', '2']),
      ...args,
    ],
    { cwd },
  )
const resultOf = (stdout: string): RunResult => JSON.parse(stdout) as RunResult

describe('salora train --task preference', () => {
  it.each(preferenceLosses)('learns with --loss %s: the loss falls, and chosen answers have the larger reward', async (loss) => {
    const { code, stdout, stderr } = await train('--model', 'llama', '--data', 'pairs.jsonl', '--loss', loss, '--output', `run-${loss}`)
    expect([code, stderr]).toEqual([0, ''])
    const { last, taskType } = resultOf(stdout)
    expect(taskType).toBe('preference')
    expect(Object.keys(last.scores)).toEqual(['accuracy', 'loss', 'margin', 'chosenReward', 'rejectedReward'])
    const evaluations = jsonLines<{ readonly scores?: Readonly<Record<string, number>> }>(
      await readFile(join(cwd, `run-${loss}`, 'metrics.jsonl'), 'utf8'),
    ).filter(({ scores }) => scores !== undefined)
    expect(evaluations[0]?.scores?.['loss']).toBeGreaterThan(Number(last.scores['loss']))
    expect(last.scores['accuracy']).toBe(1)
    const { margin, chosenReward, rejectedReward } = last.scores
    expect(Number(margin)).toBeCloseTo(Number(chosenReward) - Number(rejectedReward), 5)
  })

  it('learns with --loss kto from answers that were rated, and from pairs', async () => {
    const rated = rows.flatMap(({ prompt, chosen, rejected }) => [
      { prompt, completion: chosen, label: true },
      { prompt, completion: rejected, label: false },
    ])
    await file('rated.jsonl', rated)
    const results = [
      await train('--model', 'chat', '--data', 'rated.jsonl', '--loss', 'kto', '--output', 'rated'),
      await train('--model', 'chat', '--data', 'pairs.jsonl', '--loss', 'kto', '--output', 'rated-pairs'),
    ]
    expect(results.map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ])
    const [own, pairs] = results.map(({ stdout }) => resultOf(stdout).last.scores)
    expect(own).toEqual(pairs)
    expect(own?.['accuracy']).toBe(1)
    expect(Number(own?.['loss'])).toBeLessThan(0.45) // 0.5 at the start
    const again = await saloraIn(['evaluate', '--run', 'rated', '--eval-data', 'rated.jsonl', '--quiet', '--json'], { cwd })
    expect([again.code, again.stderr]).toEqual([0, ''])
    expect((JSON.parse(again.stdout) as { readonly scores: object }).scores).toMatchObject({ accuracy: 1 })
    const answered = await saloraIn(['generate', '--run', 'rated', '--prompt', 'w5', '--max-new-tokens', '3', '--quiet'], { cwd })
    expect([answered.code, answered.stderr]).toEqual([0, ''])
  })

  it('frames prompts in the chat template by default, and its run answers prompts', async () => {
    const conversations = rows.map(({ prompt, chosen, rejected }) => {
      const asked = { role: 'user', content: prompt }
      return { chosen: [asked, { role: 'assistant', content: chosen }], rejected: [asked, { role: 'assistant', content: rejected }] }
    })
    await file('conversations.jsonl', conversations)
    const texts = await train('--model', 'chat', '--data', 'pairs.jsonl', '--output', 'texts')
    const chats = await train('--model', 'chat', '--data', 'conversations.jsonl', '--output', 'chats')
    const plain = await train('--model', 'chat', '--data', 'pairs.jsonl', '--output', 'plain', '--prompt-template', 'paper')
    expect(resultOf(texts.stdout).last.scores).toEqual(resultOf(chats.stdout).last.scores)
    expect(resultOf(texts.stdout).last.scores).not.toEqual(resultOf(plain.stdout).last.scores)
    const answered = await saloraIn(['generate', '--run', 'texts', '--prompt', 'w5', '--max-new-tokens', '3', '--quiet'], { cwd })
    expect([answered.code, answered.stderr]).toEqual([0, ''])
    const scored = await saloraIn(['evaluate', '--run', 'texts', '--eval-data', 'pairs.jsonl', '--quiet', '--json'], { cwd })
    expect([scored.code, scored.stderr]).toEqual([0, ''])
    expect((JSON.parse(scored.stdout) as { readonly scores: object }).scores).toMatchObject({ accuracy: 1 })
    const inspected = await saloraIn(['inspect', '--task', 'preference', '--data', 'pairs.jsonl', '--model', 'chat', '--quiet'], { cwd })
    expect([inspected.code, inspected.stderr]).toEqual([0, ''])
  })

  it('learns with orpo from a decoder so sure that a log-probability rounds to 0, whose odds are not defined', async () => {
    await cp(join(cwd, 'llama'), join(cwd, 'sure'), { recursive: true })
    const weights = join(cwd, 'sure', 'model.safetensors')
    const { tensors } = await readSafetensors(weights)
    const factor = (name: string): number => (name === 'lm_head.weight' ? 12 : 1)
    const scaled = [...tensors].map(async ([name, entry]) => {
      const data = (await readTensor(entry)).map((x) => factor(name) * x)
      return [name, { shape: entry.shape, data }] as const
    })
    await writeFile(weights, writeSafetensors(new Map(await Promise.all(scaled))))
    const short = rows.map((row) => ({ ...row, chosen: 'w10' }))
    await file('short.jsonl', short)
    const { code, stdout, stderr } = await train(
      ...['--model', 'sure', '--data', 'short.jsonl', '--loss', 'orpo', '--max-steps', '40', '--eval-steps', '20', '--output', 'sure-run'],
    )
    expect([code, stderr]).toEqual([0, ''])
    expect(resultOf(stdout).last.scores['accuracy']).toBe(1)
  })

  it('leaves out pairs that are too long, and says how many', async () => {
    const long = rows.map((row, i) => (i % 4 === 0 ? { ...row, chosen: 'w10 '.repeat(40) } : row))
    await file('long.jsonl', long)
    const { code, stderr } = await train('--model', 'chat', '--data', 'long.jsonl', '--output', 'long')
    expect([code, stderr]).toEqual([0, 'warning: 10 of 40 pairs are longer than --max-length 32 and are left out\n'])
  })
})

describe('rows of preferences', () => {
  const user = { role: 'user', content: 'w5' }
  const assistant = (content: string) => ({ role: 'assistant', content })
  const read = async (row: object, chat = true) =>
    (await readPreferences(await file('row.jsonl', [row]), chat ? 'chat' : 'paper')).examples.map(({ text, textPair }) => [
      JSON.parse(text) as unknown,
      JSON.parse(textPair ?? '') as unknown,
    ])[0]
  const usual = [{ messages: [user, assistant('a')] }, { messages: [user, assistant('b')] }]

  it.each<readonly [string, object]>([
    ['three texts', { prompt: 'w5', chosen: 'a', rejected: 'b' }],
    ['three lists of messages', { prompt: [user], chosen: [assistant('a')], rejected: [assistant('b')] }],
    ['two conversations', { chosen: [user, assistant('a')], rejected: [user, assistant('b')] }],
    ['two conversations and their prompt as a text', { prompt: 'w5', chosen: [user, assistant('a')], rejected: [user, assistant('b')] }],
    ['messages and texts', { prompt: [user], chosen: 'a', rejected: 'b' }],
    [
      'other names of roles',
      {
        chosen: [
          { from: 'human', value: 'w5' },
          { from: 'gpt', value: 'a' },
        ],
        rejected: [user, assistant('b')],
      },
    ],
  ])('are the same as %s', async (_, row) => {
    expect(await read(row)).toEqual(usual)
  })

  it('keep earlier turns in the prompt', async () => {
    const before = [{ role: 'system', content: 's' }, user, assistant('first'), user]
    const row = { chosen: [...before, assistant('a')], rejected: [...before, assistant('b')] }
    expect(await read(row)).toEqual([{ messages: [...before, assistant('a')] }, { messages: [...before, assistant('b')] }])
  })

  it('have the instruction in its template without a chat template', async () => {
    const [chosen] = (await read({ prompt: 'w5', chosen: 'a', rejected: 'b' }, false)) as [
      { readonly prompt: string; readonly answer: string },
    ]
    expect(chosen.answer).toBe('a')
    expect(chosen.prompt).toMatch(/^Below is an instruction[\s\S]*\n\n### Instruction:\nw5\n\n### Response:$/)
  })

  it.each<readonly [string, object, RegExp]>([
    [
      'no rejected answer',
      { prompt: 'w5', chosen: 'a' },
      /row\.jsonl.*: expected a row with "prompt", "chosen" and "rejected".*, got one without "rejected"/,
    ],
    ['texts without a prompt', { chosen: 'a', rejected: 'b' }, /got one without "prompt"/],
    ['equal answers', { prompt: 'w5', chosen: 'a', rejected: 'a' }, /expected "chosen" and "rejected" that differ, got "a" twice/],
    ['equal conversations', { chosen: [user, assistant('a')], rejected: [user, assistant('a')] }, /that differ, got "a" twice/],
    ['an empty answer', { prompt: 'w5', chosen: 'a', rejected: ' ' }, /expected two answers \(or skipMissing: true\), got an empty one/],
    ['an empty prompt', { prompt: ' ', chosen: 'a', rejected: 'b' }, /expected a prompt, got an empty one/],
    [
      'answers of several messages',
      { chosen: [user, assistant('a'), user, assistant('c')], rejected: [user, assistant('b')] },
      /expected one message of role "assistant" in "chosen" after the prompt, got the roles "assistant", "user", "assistant"/,
    ],
    [
      'a last message of the user',
      { chosen: [user], rejected: [user, assistant('b')] },
      /expected one message of role "assistant" in "chosen"/,
    ],
  ])('refuse %s', async (_, row, message) => {
    await expect(read(row)).rejects.toThrow(message)
  })

  it('skip empty answers with --skip-missing', async () => {
    const path = await file('skip.jsonl', [{ prompt: 'w5', chosen: 'a', rejected: '' }, ...rows])
    const { examples, skipped } = await readPreferences(path, 'paper', { skipMissing: true })
    expect([examples.length, skipped]).toEqual([rows.length, [{ row: 1, reason: 'an empty answer' }]])
  })
})
