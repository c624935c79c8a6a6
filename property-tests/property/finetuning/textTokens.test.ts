/** Tokenized texts: which tokens the loss covers, how texts are truncated, and how they are packed. */
import { mkdtempSync } from 'node:fs'
import { cp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sharedTokens } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import type { TextExample } from '../../../accelerated/objectives/causalLM.js'
import { unlabeled } from '../../../accelerated/objectives/labeledTokens.js'
import { loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { promptFormats } from '../../../finetuning/data/promptTemplates.js'
import { packed, openTextTokens, plainTextOptions } from '../../../finetuning/tasks/texts/tokens.js'
import { segmentTokens, withEnd, withinLength } from '../../../finetuning/tasks/texts/learnedTokens.js'
import { conversationSegments } from '../../../finetuning/tasks/texts/conversationTokens.js'
import { fixtures } from '../../golden/golden.js'
import { SEED } from '../../support/seed.js'
import { refusalOf } from '../../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'salora-texts-'))
const model = join(folder, 'model')
const marked =
  "{% for m in messages %}{{ '<s> ' + ('w48' if m['role'] == 'user' else 'w49') + ' ' + m['content'] + ' </s> ' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<s> w49 ' }}{% endif %}"
beforeAll(async () => {
  await cp(join(fixtures, 'llama'), model, { recursive: true })
  await writeFile(join(model, 'tokenizer_config.json'), JSON.stringify({ chat_template: marked }))
})
afterAll(() => rm(folder, { recursive: true }))

/** The words of the fixture's tokenizer are their own ids; <s> is 1, </s> 2, any other word 0. */
const task = async (rows: readonly object[], more: Partial<TaskOptions> = {}): Promise<TaskOptions> => {
  const file = join(folder, 'rows.jsonl')
  await writeFile(file, rows.map((row) => JSON.stringify(row)).join('\n'))
  return { task: 'alpaca', data: file, evalData: file, ...more }
}
const tokensOf = async (options: TaskOptions, maxLength: number) => {
  const loaded = await loadTask(options)
  const tokens = await openTextTokens(await openModelFolder(model), loaded.text ?? plainTextOptions, maxLength)
  const list = ({ length, at }: { readonly length: number; readonly at: (i: number) => TextExample | undefined }) =>
    Array.from({ length }, (_, i) => {
      const { inputIds, targets, ends } = at(i) as TextExample
      return { ids: [...Array.from(inputIds)], targets: [...Array.from(targets)], ...(ends === undefined ? {} : { ends }) }
    })
  const { train, evaluation } = loaded
  const made = { training: list(tokens.training(train.examples)), evaluation: list(tokens.evaluation(evaluation.examples)) }
  return { ...made, warnings: tokens.warnings() }
}
const none = (count: number): readonly number[] => new Array<number>(count).fill(unlabeled)

describe('a prompt template', () => {
  const [encoded, plain] = [
    { instruction: 'Sort.', input: '3 1' },
    { instruction: 'Sing.', input: '' },
  ]
  it('the prompt template of the paper has one preamble, with and without an input', () => {
    const head = 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n'
    expect(promptFormats.paper(encoded)).toBe(`${head}### Instruction:\nSort.\n\n### Input:\n3 1\n\n### Response:`)
    expect(promptFormats.paper(plain)).toBe(`${head}### Instruction:\nSing.\n\n### Response:`)
  })
  it('the prompt template of Alpaca mentions the input in its preamble if there is one', () => {
    const [withInput, rest] = promptFormats.alpaca(encoded).split('. Write ')
    expect(withInput).toBe('Below is an instruction that describes a task, paired with an input that provides further context')
    expect(rest).toBe(promptFormats.paper(encoded).split('. Write ')[1])
    expect(promptFormats.alpaca(plain)).toBe(promptFormats.paper(plain))
  })
})

describe('tokens of instructions', () => {
  // the paper's prompt is 21 words of no meaning to the tokenizer around the instruction
  it('train on the response and its end of text, or with trainOnInputs on all tokens but the first', async () => {
    const options = await task([{ instruction: 'w5 w6', output: ' w7 w8 w9' }])
    const { evaluation } = await tokensOf(options, 64)
    const [{ ids, targets } = expect.fail('no example')] = evaluation
    const prompt = ids.length - 4
    expect(ids.slice(0, 1)).toEqual([1])
    expect(ids.slice(prompt)).toEqual([7, 8, 9, 2])
    expect(targets).toEqual([...none(prompt - 1), 7, 8, 9, 2, unlabeled])
    const [all = expect.fail('no example')] = (await tokensOf({ ...options, trainOnInputs: true }, 64)).evaluation
    expect(all).toEqual({ ids, targets: [...ids.slice(1), unlabeled] })
  })

  it('instructions that are too long lose the beginning of the prompt and the end of the response, and are counted', async () => {
    const words = (from: number, count: number) => Array.from({ length: count }, (_, i) => `w${from + (i % 20)}`).join(' ')
    const options = await task([
      { instruction: words(5, 40), output: ` ${words(25, 40)}` },
      { instruction: 'w5', output: 'w6' },
    ])
    const { evaluation, warnings } = await tokensOf(options, 11)
    const [{ ids, targets } = expect.fail('no example')] = evaluation
    expect(ids).toHaveLength(11)
    expect([ids[0], ...ids.slice(6)]).toEqual([1, 25, 26, 27, 28, 29])
    expect(targets).toEqual([...none(5), 25, 26, 27, 28, 29, unlabeled].slice(0, 10).concat(unlabeled))
    expect(warnings).toEqual(['2 of 4 texts are longer than --max-length 11: prompts lose their beginning, responses their end'])
  })

  it('tokens of a conversation train on each answer of the assistant and its end, as the chat template renders them', async () => {
    const messages = [
      { role: 'user', content: 'w5' },
      { role: 'assistant', content: 'w6 w7' },
      { role: 'user', content: 'w8' },
      { role: 'assistant', content: 'w9' },
    ]
    const [{ ids, targets } = expect.fail('no example')] = (await tokensOf(await task([{ messages }], { promptTemplate: 'chat' }), 64))
      .evaluation
    expect(ids).toEqual([1, 48, 5, 2, 1, 49, 6, 7, 2, 1, 48, 8, 2, 1, 49, 9, 2])
    const u = unlabeled
    expect(targets).toEqual([u, u, u, u, u, 6, 7, 2, u, u, u, u, u, u, 9, 2, u])
  })

  it('of tools and their calls are missed in a warning where the chat template does not render them', async () => {
    const messages = [
      { role: 'user', content: 'w5' },
      { role: 'assistant', content: null, tool_calls: [{ function: { name: 'w6', arguments: '{}' } }] },
      { role: 'tool', content: 'w7' },
      { role: 'assistant', content: 'w8' },
    ]
    const { warnings } = await tokensOf(await task([{ messages, tools: [{}] }], { promptTemplate: 'chat' }), 64)
    const missed = (what: string) => `the model's chat template does not render the ${what} of 2 conversations, which are not learned`
    expect(warnings).toEqual([missed('tool calls'), missed('tools')])
    const without = await tokensOf(await task([{ messages: [messages[0], messages[3]] }], { promptTemplate: 'chat' }), 64)
    expect(without.warnings).toEqual([])
  })

  it('are refused in one line for a row without fields, an empty response, and unsupported roles', async () => {
    const message = async (rows: readonly object[], more: Partial<TaskOptions> = {}): Promise<string> => {
      const options = await task(rows, more)
      return (await refusalOf(() => loadTask(options))).replace(folder, 'F')
    }
    const good = { instruction: 'w5', output: 'w6' }
    expect(await message([good, { prompt: 'w5' }])).toBe(
      'F/rows.jsonl, row 2: expected a row with "instruction" and "output", "prompt" and "completion", "messages", or "conversations", got one without "completion"',
    )
    expect(await message([{ instruction: 'w5' }])).toMatch(/row 1: .*, got one without "output"$/)
    expect(await message([good, { instruction: 'w5', output: ' ' }])).toBe(
      'F/rows.jsonl, row 2: expected a response (or --skip-missing), got an empty one',
    )
    expect(await message([good, { instruction: ' ', output: 'w6' }])).toBe('F/rows.jsonl, row 2: expected an instruction, got an empty one')
    const turns = ['user', 'assistant', 'user', 'assistant'].map((role) => ({ role, content: 'w5' }))
    expect(await message([{ messages: turns }])).toBe(
      'F/rows.jsonl, row 1: expected one message of role "user" and one of "assistant" (or --prompt-template chat), ' +
        'got the roles "user", "assistant", "user", "assistant"',
    )
    expect(await message([{ messages: turns.slice(0, 1) }], { promptTemplate: 'chat' })).toMatch(
      /expected a message of role "assistant", which is learned/,
    )
    expect(await message([good], { promptTemplate: 'vicuna' })).toBe(
      '--prompt-template: expected paper, alpaca, chat or none, got "vicuna"',
    )
    expect(await message([good], { problemType: 'regression' })).toBe('--problem-type: expected none with --task alpaca, got "regression"')
    const skipping = await loadTask(await task([good, { instruction: 'w5', output: '' }], { skipMissing: true }))
    expect(skipping).toMatchObject({ train: { examples: { length: 1 }, skipped: [{ row: 2, reason: 'no response' }] } })
  })
})

describe('a conversation', () => {
  it('is refused if the template renders earlier messages differently once another follows', () => {
    const forgetful = (messages: readonly { readonly content: string }[]): string =>
      messages
        .slice(-1)
        .map(({ content }) => content)
        .join('')
    const turns = ['a', 'b', 'c', 'd'].map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }))
    expect(() => conversationSegments(turns, forgetful)).toThrow(
      'promptTemplate chat: expected a template under which no message changes those before it (or paper, for instructions), got another at message 2',
    )
  })
})

describe('the end of a learned part', () => {
  const marked = (learned: string) => Array.from(learned, (mark) => mark === '+')
  it('is its first end-of-text token; later text of the template stays in the input, and is dropped after the last part', () => {
    const ids = [5, 6, 2, 9, 7, 8, 3, 9]
    expect(withEnd({ ids, learned: marked('-+++-+++') }, [2, 3])).toEqual({ ids: ids.slice(0, 7), learned: marked('-++--++') })
  })
  it('is added to a last part that has none', () => {
    expect(withEnd({ ids: [5, 6, 7], learned: marked('-+-') }, [2, 3])).toEqual({ ids: [5, 6, 2], learned: marked('-++') })
  })
})

describe(`tokens of segments (seed ${SEED})`, () => {
  it('are those of the whole text; a token that spans two segments belongs to the later one', () => {
    // a tokenizer that takes letters two by two, so that pairs may lie across segments
    const pairs = (text: string): readonly number[] =>
      Array.from({ length: Math.ceil(text.length / 2) }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 36))
    const segment = fc.record({ text: fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 }), learned: fc.boolean() })
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
        const text = segments.map((part) => part.text).join('')
        const { ids, learned } = segmentTokens({ shared: sharedTokens(pairs, new Set(), (text) => [text]) }, segments, [99])
        expect(ids).toEqual([99, ...pairs(text)])
        const owner = (place: number): number => {
          const ends = segments.map((_, i) => segments.slice(0, i + 1).reduce((sum, segment) => sum + segment.text.length, 0))
          return ends.findIndex((end) => end > Math.min(place, text.length - 1))
        }
        // a pair is learned with the segment of its last letter
        expect(learned.slice(1)).toEqual(pairs(text).map((_, i) => segments[owner(2 * i + 1)]?.learned))
      }),
      { seed: SEED },
    )
  })
})

describe(`a truncated text (seed ${SEED})`, () => {
  it('keeps its start, the end of its prompt and the beginning of its response, and loses neither as a whole', () => {
    fc.assert(
      fc.property(
        fc.nat(2),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 2, max: 40 }),
        (start, p, r, room) => {
          const ids = Array.from({ length: start + p + r }, (_, i) => i)
          const cut = withinLength({ ids, learned: ids.map((i) => i >= start + p) }, start, start + room)
          const [prompt, response] = [cut.ids.filter((i) => i >= start && i < start + p), cut.ids.filter((i) => i >= start + p)]
          expect(cut.ids.length).toBe(start + Math.min(p + r, room))
          expect(cut.ids.slice(0, start)).toEqual(ids.slice(0, start))
          expect(prompt).toEqual(ids.slice(start + p - prompt.length, start + p))
          expect(response).toEqual(ids.slice(start + p, start + p + response.length))
          expect(prompt.length).toBeGreaterThan(0)
          expect(response.length).toBeGreaterThan(0)
          expect(cut.learned).toEqual(cut.ids.map((i) => i >= start + p))
        },
      ),
      { seed: SEED },
    )
  })
})

describe('tokens of plain text', () => {
  it('train on each paragraph; pieces of a long one predict every token but the first once', async () => {
    const file = join(folder, 'plain.txt')
    await writeFile(file, 'w5 w6\nw7\n\n\nw8 w9 w10 w11 w12 w13 w14\n')
    const { evaluation } = await tokensOf({ task: 'text', data: file, evalData: file }, 4)
    expect(evaluation.map(({ ids }) => ids)).toEqual([
      [1, 5, 6, 7],
      [7, 2],
      [1, 8, 9, 10],
      [10, 11, 12, 13],
      [13, 14, 2],
    ])
    expect(evaluation.map(({ targets }) => targets)).toEqual(evaluation.map(({ ids }) => [...ids.slice(1), unlabeled]))
  })
})

describe(`packed texts (seed ${SEED})`, () => {
  it('occur once each, in rows of at most the maximum length that list where their texts end', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(lengths, (all) => {
        const texts = all.map((length, row): TextExample => {
          const inputIds = Array.from({ length }, (_, i) => 100 * row + i)
          return { inputIds, targets: inputIds.map((id) => id + 1), row }
        })
        const rows = packed(texts, 12)
        expect(rows.every(({ inputIds }) => inputIds.length <= 12)).toBe(true)
        const parts = rows.flatMap(({ inputIds, targets, ends = [] }) =>
          ends.map((end, i) => [inputIds, targets].map((list) => Array.from(list).slice(ends[i - 1] ?? 0, end))),
        )
        const key = (ids: ArrayLike<number>): number => ids[0] ?? NaN
        expect(parts.sort(([a = []], [b = []]) => key(a) - key(b))).toEqual(texts.map(({ inputIds, targets }) => [inputIds, targets]))
      }),
      { seed: SEED },
    )
  })
})
