/** Conversation files in the layouts of other tools: the same messages from each, and no field is dropped without a word. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chatTemplate } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { conversationIn, readConversations } from '../../../finetuning/data/conversations.js'
import { inspectData } from '../../../finetuning/inspection/inspectData.js'
import { conversationSegments } from '../../../finetuning/tasks/texts/conversationTokens.js'
import { SEED } from '../../support/seed.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('conversations')
const file = (...rows: readonly object[]): string => write('rows.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))
const conversations = async (...rows: readonly object[]) => {
  const { examples, notes } = await readConversations(file(...rows), 'chat')
  return { read: examples.map(({ text }) => conversationIn(text)), notes: (notes ?? []).map((note) => note.replace(`${folder}/`, '')) }
}
const turnsOf = async (row: object) => (await conversations(row)).read[0]?.turns
const refusal = async (row: object, template: 'chat' | 'paper' = 'chat'): Promise<string> =>
  (await refusalOf(() => readConversations(file(row), template))).replace(`${folder}/`, '')

const [question, answer] = [
  { role: 'user', content: 'How are you?' },
  { role: 'assistant', content: 'Fine.' },
]
const system = { role: 'system', content: 'Be brief.' }

describe('the layout of a conversation file', () => {
  it.each<readonly [string, object]>([
    ['messages of OpenAI', { messages: [question, answer] }],
    [
      'conversations of ShareGPT',
      {
        conversations: [
          { from: 'human', value: 'How are you?' },
          { from: 'gpt', value: 'Fine.' },
        ],
      },
    ],
    ['conversations with roles of OpenAI', { conversations: [question, answer] }],
    ['prompt and completion of TRL', { prompt: 'How are you?', completion: 'Fine.' }],
    ['prompt and completion as messages', { prompt: [question], completion: [answer] }],
    ['instruction and output of Alpaca', { instruction: 'How are you?', input: '', output: 'Fine.' }],
    ['instruction and response of Dolly', { instruction: 'How are you?', context: '', response: 'Fine.' }],
    [
      'parts of a content',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'How are' },
              { type: 'text', text: ' you?' },
            ],
          },
          answer,
        ],
      },
    ],
  ])('can be %s', async (_, row) => {
    expect(await turnsOf(row)).toEqual([question, answer])
  })

  it('may have a system prompt and a history in fields of their own, which become earlier messages', async () => {
    const history = [['One?', 'Two.']]
    const earlier = [
      { role: 'user', content: 'One?' },
      { role: 'assistant', content: 'Two.' },
    ]
    expect(await turnsOf({ instruction: 'How are you?', output: 'Fine.', system: 'Be brief.', history })).toEqual([
      system,
      ...earlier,
      question,
      answer,
    ])
    expect(
      await turnsOf({
        system: 'Be brief.',
        conversations: [
          { from: 'human', value: 'How are you?' },
          { from: 'gpt', value: 'Fine.' },
        ],
      }),
    ).toEqual([system, question, answer])
    expect(await turnsOf({ instruction: 'How are you?', output: 'Fine.', system: '', history: [] })).toEqual([question, answer])
  })

  it('may have blank lines in JSON lines, and rows keep the numbers of their lines', async () => {
    const path = write(
      'blank.jsonl',
      `\n${JSON.stringify({ messages: [question, answer] })}\n  \n\n${JSON.stringify({ prompt: 'a', completion: 'b' })}\n\n`,
    )
    expect((await readConversations(path, 'chat')).examples.map(({ row }) => row)).toEqual([2, 5])
    const blank = await refusalOf(() => readConversations(write('nothing.jsonl', ' \n\t\n'), 'chat'))
    expect(blank).toContain('nothing.jsonl: expected at least one row, got blank lines alone')
  })
})

describe('messages of a role and a text alone', () => {
  it(`are read as those with other fields are (seed ${SEED})`, async () => {
    const message = fc.record({
      role: fc.constantFrom('user', 'assistant', 'system', 'gpt', 'human', 'constructor', 'toString'),
      content: fc.string(),
    })
    const given = fc.array(message, { minLength: 1, maxLength: 6 })
    const rows = fc.sample(given, { seed: SEED, numRuns: 100 }).map((messages) => [...messages, answer])
    const [plain, others] = [
      await readConversations(file(...rows.map((messages) => ({ messages }))), 'chat', { skipMissing: true }),
      await readConversations(file(...rows.map((messages) => ({ messages: messages.map((one) => ({ ...one, name: null })) }))), 'chat', {
        skipMissing: true,
      }),
    ]
    expect(plain.examples.map(({ text }) => text)).toEqual(others.examples.map(({ text }) => text))
    expect(plain.skipped).toEqual(others.skipped)
    expect(plain.examples.length).toBeGreaterThan(50)
  })

  it('have roles that are texts, also where objects inherit the name', async () => {
    expect((await turnsOf({ messages: [{ role: 'constructor', content: 'a' }, answer] }))?.[0]).toEqual({
      role: 'constructor',
      content: 'a',
    })
    expect((await turnsOf({ messages: [{ role: 'constructor', content: 'a', name: null }, answer] }))?.[0]).toEqual({
      role: 'constructor',
      content: 'a',
    })
  })

  it('are refused within the same bounds', async () => {
    expect(await refusal({ messages: [{ role: 'r'.repeat(101), content: 'a' }, answer] })).toContain('a text of at most 100 characters')
    expect(await refusal({ messages: [{ role: '', content: 'a' }, answer] })).toContain('a text of at least 1 character')
    expect(await refusal({ messages: [{ role: 'user', content: 1 }, answer] })).toContain('expected a list of messages')
    expect(await refusal({ messages: [] })).toContain('expected a list of messages')
    expect(await refusal({ messages: Array.from({ length: 10_001 }, () => answer) })).toContain('a list of at most 10000 entries')
  })
})

describe('tools', () => {
  const calls = [{ type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } }]
  const tools = [{ type: 'function', function: { name: 'weather', parameters: {} } }]
  const messages = [question, { role: 'assistant', content: null, tool_calls: calls }, { role: 'tool', content: 'Rain.' }, answer]

  it('are read with calls whose content is null and whose arguments are JSON text, and a chat template renders both', async () => {
    for (const given of [tools, JSON.stringify(tools)]) {
      const { read, notes } = await conversations({ messages, tools: given })
      const [{ turns, tools: found } = expect.fail('no conversation')] = read
      expect(notes).toEqual([])
      expect(found).toEqual(tools)
      expect(turns[1]).toEqual({
        role: 'assistant',
        content: '',
        tool_calls: calls,
      })
      const template =
        "{% for t in tools %}[{{ t['function']['name'] }}]{% endfor %}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}" +
        "{% if m['tool_calls'] %}{% for c in m['tool_calls'] %}{{ c['function']['name'] }}({{ c['function']['arguments']['city'] }}){% endfor %}{% endif %}{% endfor %}" +
        '{% if add_generation_prompt %}<assistant>{% endif %}'
      expect(conversationSegments(turns, chatTemplate(template, {}, 'test'), found)).toEqual([
        { text: '[weather]<user>How are you?<assistant>', learned: false },
        { text: 'weather(Oslo)', learned: true },
        { text: '<tool>Rain.<assistant>', learned: false },
        { text: 'Fine.', learned: true },
      ])
    }
  })

  it('keep the digits of integers beyond 2^53 in calls, arguments and tools, printed and by tojson', async () => {
    const [id, after, low] = ['9007199254740993', '1234567890123456789', '-98765432109876543210']
    const call = (written: string): string => `{"function":{"name":"ban","arguments":${written}}}`
    const asked = '{"role":"user","content":"Ban \uFDD0 12345678901234567."}'
    const turn = (written: string): string => `{"role":"assistant","content":null,"tool_calls":[${call(written)}]}`
    const digits = `{"id":${id},"list":["a",${after}],"text":"${id}"}`
    const written = [asked, turn(digits), asked, turn(JSON.stringify(digits)), asked, turn(`{"id":${low}}`)].join(',')
    const path = write('large.jsonl', `{"messages":[${written}],"tools":[{"least":${low}}]}`)
    const [example] = (await readConversations(path, 'chat')).examples
    const { turns, tools: found } = conversationIn(example?.text ?? '')
    const template =
      "{{ tools[0] | tojson }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}" +
      "{% for c in m['tool_calls'] or [] %}{{ c['function']['arguments']['id'] }}/{{ c['function']['arguments'] | tojson }}{% endfor %}{% endfor %}" +
      '{% if add_generation_prompt %}<assistant>{% endif %}'
    const learned = `${id}/{"id": ${id}, "list": ["a", ${after}], "text": "${id}"}`
    const ask = '<user>Ban \uFDD0 12345678901234567.<assistant>'
    expect(conversationSegments(turns, chatTemplate(template, {}, 'test'), found)).toEqual([
      { text: `{"least": ${low}}${ask}`, learned: false },
      { text: learned, learned: true },
      { text: ask, learned: false },
      { text: learned, learned: true },
      { text: ask, learned: false },
      { text: `${low}/{"id": ${low}}`, learned: true },
    ])
  })

  it('are calls and observations in ShareGPT', async () => {
    const row = {
      conversations: [
        { from: 'human', value: 'How are you?' },
        { from: 'function_call', value: '{"name":"ask"}' },
        { from: 'observation', value: 'ok' },
        { from: 'gpt', value: 'Fine.' },
      ],
    }
    expect((await turnsOf(row))?.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant'])
  })
})

describe('fields that are not read', () => {
  it('are named with the number of their rows, those of messages too', async () => {
    const { notes } = await conversations(
      { id: 1, messages: [question, { ...answer, weight: 0 }], source: null },
      { id: 2, messages: [{ ...question, weight: 1 }, answer], source: 'web' },
      { prompt: 'a', completion: 'b', label: true },
    )
    expect(notes).toEqual(['rows.jsonl: not read: "id" in 2 rows, "messages.weight" in 2 rows, "source" in 1 row, "label" in 1 row'])
  })

  it('are a system prompt, a history and tools where the prompt template cannot show them', async () => {
    const path = file(
      { instruction: 'a', output: 'b', system: 'Be brief.', history: [['c', 'd']] },
      { instruction: 'e', output: 'f', system: 'Be long.' },
      { messages: [question, answer], tools: [{}] },
    )
    const { examples, notes } = await readConversations(path, 'paper')
    expect(examples.map(({ textPair }) => textPair)).toEqual(['b', 'f', 'Fine.'])
    expect(notes).toEqual([
      `${path}: --prompt-template paper does not read "system" in 2 rows, "history" in 1 row, "tools" in 1 row; --prompt-template chat does`,
    ])
  })

  it('are another layout of the same row, and a second system prompt', async () => {
    const { notes, read } = await conversations({ messages: [system, question, answer], prompt: 'x', completion: 'y', system: 'Shout.' })
    expect(read[0]?.turns).toEqual([system, question, answer])
    expect(notes).toEqual(['rows.jsonl: not read: "prompt" in 1 row, "completion" in 1 row, "system" in 1 row'])
  })
})

describe('a role that no chat template knows', () => {
  it('is warned of, with the number of its rows, and with the known role that is near', async () => {
    const says = (...roles: readonly string[]) => ({ messages: roles.map((role) => ({ role, content: 'a' })) })
    const path = file(
      says('bot', 'assistants', 'user', 'assistant'),
      says('User', 'assistants', 'assistants', 'assistant'),
      says('developer', 'human', 'tool', 'gpt'),
    )
    const { examples, warnings } = await readConversations(path, 'chat')
    expect(examples).toHaveLength(3)
    expect(warnings).toEqual([
      `${path}: expected roles among system, developer, user, assistant or tool, got "bot" in 1 row, ` +
        '"assistants" in 2 rows (did you mean "assistant"?), "User" in 1 row (did you mean "user"?); only messages of the assistant are learned',
    ])
    expect(await readConversations(file(says('system', 'user', 'assistant')), 'chat')).not.toHaveProperty('warnings')
  })

  it('is a finding of an inspection, also in a file that --mix-data adds, once', async () => {
    const [good, bad] = [
      file({ messages: [question, answer] }),
      write('roles.jsonl', JSON.stringify({ messages: [{ ...question, role: 'usr' }, answer] })),
    ]
    const task = { task: 'alpaca', promptTemplate: 'chat', data: good, mixData: [bad] }
    const { findings } = await inspectData({ task: { ...task, evalData: bad }, maxLength: 128 })
    expect(findings.filter(({ warns }) => warns).map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/roles\.jsonl: expected roles among .*"usr" in 1 row \(did you mean "user"\?\)/),
    )
    expect(findings.filter(({ kind }) => kind === 'roles')).toHaveLength(1)
  })
})

describe('a row that cannot be learned', () => {
  it.each<readonly [object, string]>([
    [{ messages: [question, { role: 'assistant', content: null }] }, 'expected the content of a message, got null without tool_calls'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'x' }] }, answer] },
      'expected parts of a message that are texts, got "image_url"',
    ],
    [{ messages: [{ content: 'a' }, answer] }, 'expected a role of message 1, got none'],
    [{ prompt: 'a', completion: ' ' }, 'expected a response (or --skip-missing), got an empty one'],
    [{ prompt: ' ', completion: 'a' }, 'expected a prompt, got an empty one'],
    [{ prompt: 'a', completion: { b: 1 } }, 'expected a list of messages, each with its role and its content'],
    [{ instruction: ['a'], output: 'b' }, 'expected a text in "instruction", got a list'],
    [{ instruction: 'a', output: 'b', history: ['c'] }, 'expected a history of pairs of texts'],
    [{ messages: [question] }, 'expected a message of role "assistant", which is learned (or --skip-missing), got the roles "user"'],
  ])('is refused with its place: %j', async (row, message) => {
    expect(await refusal(row)).toContain(`rows.jsonl, row 1`)
    expect(await refusal(row)).toContain(message)
  })

  it('is skipped with --skip-missing if it has no response, or an empty one', async () => {
    const rows = [{ messages: [question, answer] }, { messages: [system, question] }, { prompt: 'a', completion: '' }]
    expect(await readConversations(file(...rows), 'chat', { skipMissing: true })).toMatchObject({
      examples: [{ row: 1 }],
      skipped: [2, 3].map((row) => ({ row, reason: 'no response' })),
    })
  })

  it('is a prompt of several messages, or a call of a tool, without the chat template', async () => {
    expect(await refusal({ prompt: [system, question], completion: [answer] }, 'paper')).toContain(
      'expected one message of role "user" and one of "assistant" (or --prompt-template chat), got the roles "system", "user", "assistant"',
    )
    expect(await refusal({ messages: [question, { role: 'assistant', content: null, tool_calls: [{}] }] }, 'paper')).toContain(
      'expected a response that is a text (or --prompt-template chat), got tool calls',
    )
  })
})
