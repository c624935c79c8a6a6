/** Prompts and settings of generation in JavaScript: each form is what it says, and what is none is refused in one line before anything runs. */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { finetuneJob, isExpected, openConversation, openGenerator, openRun, type Generator, type OpenRun } from '../../../index.js'
import { toyInstructions } from '../../cli/toyTask.js'
import { fixtures } from '../../golden/golden.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('prompts')
const model = join(fixtures, 'llama')
const output = join(folder, 'run')

let [run, generator]: [OpenRun, Generator] = [undefined as never, undefined as never]
beforeAll(async () => {
  const data = write('rows.jsonl', toyInstructions())
  const settings = { method: 'lora', maxSteps: 2, batchSize: 4, maxLength: 32, device: 'cpu', learningRate: 0.01 } as const
  const options = { model, task: { task: 'alpaca', data }, output, settings }
  for await (const _ of finetuneJob(options, new AbortController().signal));
  run = await openRun(output, { threads: 1 })
  generator = await openGenerator({ model, adapter: join(output, 'adapter'), device: 'cpu', threads: 1 })
})
afterAll(async () => {
  await run.release()
  await generator.release()
})

/** The message of an error that the user can repair. */
const refusalOf = async (work: () => unknown): Promise<string> => {
  try {
    await work()
    return 'no problem'
  } catch (error) {
    return isExpected(error) ? (error as Error).message : expect.fail(String(error))
  }
}

const generated = async (prompt: Parameters<OpenRun['generate']>[0]): Promise<string> => {
  for await (const event of run.generate(prompt, { maxNewTokens: 8 })) if (event.kind === 'text') return event.text
  return expect.fail('no text')
}

describe('a prompt', () => {
  it('needs no input', async () => {
    expect(generator.encode({ instruction: 'w5 w8' })).toEqual(generator.encode({ instruction: 'w5 w8', input: '' }))
    expect(generator.encode({ instruction: 'w5', input: 'w8' })).not.toEqual(generator.encode({ instruction: 'w5' }))
    expect(await generated({ instruction: 'w5 w8' })).toBe(await generated({ instruction: 'w5 w8', input: '' }))
  })

  it('is a text to continue where there is no run, also as { prompt }', () => {
    const ids = generator.encode({ text: 'w5 w8' })
    expect(ids.slice(-2)).toEqual([5, 8])
    expect(generator.encode({ prompt: 'w5 w8' })).toEqual(ids)
  })
})

describe('the log-probabilities of an answer', () => {
  const answer = async (settings: Parameters<Generator['answers']>[1]) => {
    const pieces: unknown[] = []
    for await (const event of generator.answers([generator.encode({ text: 'w5 w8' })], { maxNewTokens: 6, logprobs: 1, ...settings }))
      if (event.kind === 'piece') pieces.push(...(event.logprobs ?? []))
      else return { pieces, ...event }
    return expect.fail('no answer')
  }

  it('are those of its pieces together', async () => {
    const { pieces, logprobs, tokens } = await answer({})
    expect([pieces.length, tokens]).toEqual([6, 6])
    expect(logprobs).toEqual(pieces)
  })

  it('have none of the token that ends the text', async () => {
    expect(await answer({ logitBias: { 2: 100 } })).toMatchObject({ tokens: 1, ended: 'end', text: '', logprobs: [], pieces: [] })
  })
})

describe('tools', () => {
  const messages = [{ role: 'user', content: 'w8' }]
  const tools = [{ type: 'function', function: { name: 'w9' } }]
  const open = async (name: string, template: string): Promise<Generator> => {
    await cp(model, join(folder, name), { recursive: true })
    write(`${name}/tokenizer_config.json`, JSON.stringify({ chat_template: template }))
    return openGenerator({ model: join(folder, name), adapter: null, device: 'cpu', threads: 1 })
  }
  const body = "{% for m in messages %}{{ m['content'] + ' ' }}{% endfor %}"

  it('are written by a chat template that has them', async () => {
    const opened = await open('tools', `{% if tools %}{{ tools[0]['function']['name'] + ' ' }}{% endif %}${body}`)
    expect(opened.encode({ messages, tools }).filter((id) => id > 4)).toEqual([9, 8])
    expect(opened.encode({ messages }).filter((id) => id > 4)).toEqual([8])
    await opened.release()
  })

  it('are refused by one that would drop them, as are calls and their results', async () => {
    const opened = await open('plain', body)
    const call = { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: { name: 'w9' } }] }
    for (const [prompt, what] of [
      [{ messages, tools }, 'tools'],
      [{ messages: [...messages, call] }, 'tool_calls'],
      [{ messages: [...messages, { role: 'tool', content: 'w5' }] }, 'role: tool'],
    ] as const)
      expect(await refusalOf(() => opened.encode(prompt))).toBe(
        `${join(folder, 'plain')}: expected a chat template with tools, got one without: ${what} is not supported`,
      )
    await opened.release()
  })
})

const forms = 'prompt: expected a text, or an object with one of "text", "prompt", "instruction" or "messages"'
const wrongPrompts: readonly (readonly [unknown, string])[] = [
  [undefined, `${forms}, got nothing`],
  [null, `${forms}, got null`],
  [5, `${forms}, got 5`],
  [{}, `${forms}, got {}`],
  [['w5'], `${forms}, got ["w5"]`],
  [{ intruction: 'w5' }, `${forms} (did you mean "instruction"?), got {"intruction":"w5"}`],
  [{ instruction: 5 }, 'prompt: expected a prompt whose instruction is a text, got 5'],
  [
    { instruction: 'w5', inptu: 'w8' },
    'prompt: expected only "instruction", "input" or "template" in a prompt (did you mean "input"?), got "inptu"',
  ],
  [{ instruction: 'w5', template: 'vicuna' }, 'prompt: expected a prompt whose template is one of paper, alpaca, chat, none, got "vicuna"'],
  [{ text: undefined }, 'prompt: expected a prompt whose text is a text, got nothing'],
  [{ messages: 'x' }, 'prompt: expected a prompt whose messages is a list, got "x"'],
  [{ messages: [] }, 'prompt: expected a prompt whose messages is a list of at least 1 entry, got []'],
  [{ messages: [{ role: 'user', text: 'x' }] }, 'prompt: expected a prompt whose messages.0.content is a text, got nothing'],
]
const wrongSettings: readonly (readonly [unknown, string])[] = [
  [null, 'settings: expected settings of generation (an object), got null'],
  [{ max_new_tokens: 5 }, 'settings: expected a setting of generation (did you mean "maxNewTokens"?), got "max_new_tokens"'],
  [{ temperatur: 0.5 }, 'settings: expected a setting of generation (did you mean "temperature"?), got "temperatur"'],
  [{ stops: ['x'] }, 'settings: expected a setting of generation (did you mean "stop"?), got "stops"'],
  [{ unheard: 1 }, 'settings: expected a setting of generation, got "unheard"'],
  [{ stop: 'x' }, 'settings: expected settings of generation whose stop is a list, got "x"'],
  [{ maxNewTokens: 0 }, 'maxNewTokens: expected a whole number of at least 1, got 0'],
]

describe('what is no prompt', () => {
  it.each(wrongPrompts)('is refused by a run and by a generator: %j', async (wrong, message) => {
    expect(await refusalOf(() => run.generate(wrong as never).next())).toBe(message)
    expect(await refusalOf(async () => generator.encode(wrong as never))).toBe(message)
  })

  it('is refused by a conversation', async () => {
    const chat = { encode: generator.encode, answers: generator.answers }
    expect(await refusalOf(async () => openConversation(chat, {}, 5 as never))).toBe(
      'the conversation: expected a prompt whose messages.0.content is a text, got 5',
    )
  })
})

describe('what is no setting of generation', () => {
  it.each(wrongSettings)('is refused by a run, a generator and a conversation: %j', async (wrong, message) => {
    expect(await refusalOf(() => run.generate('w5', wrong as never).next())).toBe(message)
    expect(await refusalOf(() => generator.answers([[5]], wrong as never).next())).toBe(message)
    expect(await refusalOf(async () => openConversation({ ...generator, encode: () => [5] }, wrong as never))).toBe(message)
  })
})
