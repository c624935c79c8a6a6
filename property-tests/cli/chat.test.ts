/** salora chat: the answers of generate to the same messages, its commands, and one line per mistake. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { chatLine } from '../../cli/commands/chat.js'
import { openConversation } from '../../finetuning/use/conversation.js'
import { openGenerator } from '../../index.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraIn } from './inProcess.js'
import { program } from './spawnSalora.js'

const { folder: cwd } = temporaryFolder('chat')
const template =
  "{% for m in messages %}{{ '<s> ' + {'system': 'w47', 'user': 'w48', 'assistant': 'w49'}[m['role']] + ' ' + m['content'] + ' </s> ' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<s> w49 ' }}{% endif %}"
beforeAll(async () => {
  await cp(join(fixtures, 'llama'), join(cwd, 'llama'), { recursive: true })
  await cp(join(fixtures, 'llama'), join(cwd, 'plain'), { recursive: true })
  await writeFile(join(cwd, 'llama', 'tokenizer_config.json'), JSON.stringify({ chat_template: template }))
})

const chat = (input: string | Uint8Array, ...args: readonly string[]) =>
  saloraIn(['chat', '--model', 'llama', '--threads', '1', '--quiet', '--max-new-tokens', '5', ...args], { cwd, input })

type Message = { readonly role: string; readonly content: string }

/** What `generate` answers to these messages, from a decoder that reads all of them. */
const generated = async (messages: readonly Message[]): Promise<string> => {
  await writeFile(join(cwd, 'prompt.jsonl'), JSON.stringify({ messages }))
  const { stdout } = await saloraIn(
    ['generate', '--model', 'llama', '--input', 'prompt.jsonl', '--threads', '1', '--quiet', '--max-new-tokens', '5'],
    { cwd },
  )
  return (JSON.parse(stdout) as { readonly text: string }).text
}
const conversationOf = async (said: readonly string[], opening: readonly Message[] = []): Promise<readonly Message[]> => {
  let messages = opening
  for (const content of said) {
    const asked = [...messages, { role: 'user', content }]
    messages = [...asked, { role: 'assistant', content: await generated(asked) }]
  }
  return messages
}
const answers = (messages: readonly Message[]): string =>
  messages.flatMap(({ role, content }) => (role === 'assistant' ? [`${content}\n`] : [])).join('')

describe('salora chat', () => {
  it('answers each line as generate answers all messages so far', async () => {
    const messages = await conversationOf(['w5 w6', 'w9', 'w11 w12 w13'])
    expect(await chat('w5 w6\n\nw9\nw11 w12 w13\n')).toEqual({ code: 0, stdout: answers(messages), stderr: '' })
    const { stdout } = await chat('w5 w6\nw9\nw11 w12 w13', '--json')
    expect(JSON.parse(stdout)).toEqual({ messages })
  })

  it('begins with --system, /reset keeps it, /system replaces it, and nothing after /exit is read', async () => {
    const system = (content: string): Message => ({ role: 'system', content })
    const [one, other] = [await conversationOf(['w5'], [system('w20')]), await conversationOf(['w5'], [system('w30')])]
    expect(one[2]).not.toEqual(other[2])
    const { stdout } = await chat('w5\n/reset\nw5\n/system w30\nw5\n/reset\nw5\n/exit\nw7', '--system', 'w20')
    expect(stdout).toBe(answers([...one, ...one, ...other, ...other]))
  })

  it('shows its commands, and names them for a slash that is none', async () => {
    expect((await chat('/help', '--no-quiet')).code).toBe(2)
    const { stderr, stdout } = await saloraIn(['chat', '--model', 'llama', '--threads', '1'], { cwd, input: '/help\n/quit\n' })
    expect(stdout).toBe('')
    expect(stderr).toMatch(
      /^\/reset: forget the conversation.*\n\/system TEXT: .*\n\/help: .*\n\/exit: .*\nwarning: expected .*, got "\/quit"\n$/,
    )
  })

  it.each<readonly [string, readonly string[], string | Uint8Array, RegExp]>([
    ['bytes that are not UTF-8', [], Uint8Array.of(0x77, 0xe9), /^standard input, line 1: expected text in UTF-8, got other bytes\n$/],
    [
      'more than the model’s positions',
      [],
      'w5 '.repeat(200),
      /^the conversation: expected a prompt of at most \d+ tokens .*, got at least \d+\n$/,
    ],
  ])('refuses %s in one line', async (_, args, input, message) => {
    const { code, stdout, stderr } = await chat(input, ...args)
    expect([code === 0, stdout]).toEqual([false, ''])
    expect(stderr).toMatch(message)
    expect(stderr.trim().split('\n').length).toBe(1)
  })
})

describe('a line of a conversation', () => {
  it.each<readonly [string, ReturnType<typeof chatLine>]>([
    ['hello', { kind: 'message', text: 'hello' }],
    ['  ', { kind: 'nothing' }],
    [' /reset', { kind: 'message', text: '/reset' }],
    ['/reset ', { kind: 'reset' }],
    ['/reset now', { kind: 'unknown', command: '/reset now' }],
    ['/system  Be brief. ', { kind: 'system', text: 'Be brief.' }],
    ['/system', { kind: 'unknown', command: '/system' }],
    ['/constructor', { kind: 'unknown', command: '/constructor' }],
  ])('%j', (line, expected) => expect(chatLine(line)).toEqual(expected))
})

describe('a conversation', () => {
  it('keeps the answer up to an abort, and stays the same if a message does not fit', async () => {
    const generator = await openGenerator({ model: join(cwd, 'llama'), device: 'cpu', threads: 1, keepsCache: true })
    const conversation = openConversation(generator, { maxNewTokens: 5 })
    const stop = new AbortController()
    for await (const event of conversation.say('w5 w6', stop.signal)) if (event.kind === 'piece') stop.abort()
    const [asked, answered] = conversation.messages()
    expect(asked).toEqual({ role: 'user', content: 'w5 w6' })
    const whole = await generated([{ role: 'user', content: 'w5 w6' }])
    expect(whole.startsWith(answered?.content ?? '-')).toBe(true)
    expect(answered?.content.length).toBeLessThan(whole.length)
    const before = conversation.messages()
    await expect(conversation.say('w5 '.repeat(200)).next()).rejects.toThrow('the conversation: expected a prompt of at most')
    expect(conversation.messages()).toBe(before)
    await generator.release()
  })
})

/** util-linux's program; that of macOS and BSD has other options. */
const hasScript = process.platform === 'linux' && existsSync('/usr/bin/script')

describe.skipIf(!hasScript)('salora chat on a terminal', () => {
  it('ends an answer at Ctrl-C, and not the conversation, also where process.kill ends a process at once, as on Windows', async () => {
    const config = JSON.parse(await readFile(join(cwd, 'llama', 'config.json'), 'utf8')) as object
    await cp(join(cwd, 'llama'), join(cwd, 'long'), { recursive: true })
    await writeFile(join(cwd, 'long', 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 60_000 }))
    await writeFile(
      join(cwd, 'kill.mjs'),
      "const { kill } = process\nprocess.kill = (pid, signal) => kill(pid, signal === 0 ? 0 : 'SIGKILL')\n",
    )
    const chatting = [program, 'chat', '--model', 'long', '--threads', '1', '--max-new-tokens', '50000']
    const command = [process.execPath, '--import', './kill.mjs', ...chatting].join(' ')
    const terminal = spawn('/usr/bin/script', ['-qefc', command, '/dev/null'], { cwd, stdio: ['pipe', 'pipe', 'ignore'] })
    let shown = ''
    let typed = 0
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text
      if (typed === 0 && shown.includes('> ')) terminal.stdin.write(++typed && 'w5 w6\n')
      if (typed === 1 && /(w\d+ ){3}/.test(shown)) terminal.stdin.write(++typed && '\x03')
      if (typed === 2 && /w\d+\s+\S*> \S*$/.test(shown)) terminal.stdin.write(++typed && '\x04')
    })
    expect(await new Promise((resolve) => terminal.on('close', resolve))).toBe(0)
    expect(typed).toBe(3)
  })
})
