/** salora chat: a conversation with a decoder, on the terminal or from standard input. */
import { createInterface } from 'node:readline'
import { InputError, quoted } from '../../accelerated/errors/inputError.js'
import { openConversation, type Conversation } from '../../finetuning/use/conversation.js'
import { openGenerator } from '../../finetuning/use/generator.js'
import { textFlag } from '../../finetuning/commandLine/flag.js'
import { lineInFlags } from '../../finetuning/commandLine/optionNames.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { standardInput } from '../input/promptInput.js'
import { lineText, textLines, unchanged } from '../input/textLines.js'
import { adapterFlags, adapterMachineFlags, adapterRequest } from '../options/adapterRequest.js'
import { generationFlags, generationRequest, stopFlags } from '../options/generationRequest.js'
import { pickFlags } from '../options/settingFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { printable, type Terminal } from '../terminal/output.js'

/** New tokens of an answer: enough for a page. */
const longestAnswer = 1024

export const chat = defineCommand({
  name: 'salora chat',
  description:
    'Talk to a decoder in its chat template. Each line is a message; Ctrl-C stops the answer. On the terminal, /help shows the commands. Each turn reads only what is new, since the cache of keys and values stays.',
  looseWords: { flags: ['run'], text: 'start the chat first, then type' },
  flags: {
    Model: adapterFlags,
    Conversation: { system: textFlag('text', 'System message to begin with', { defaultText: "the template's, if it has one" }) },
    Generation: {
      ...pickFlags(generationFlags, ['maxNewTokens', 'temperature', 'topK', 'topP', 'repetitionPenalty', 'seed'], {
        maxNewTokens: String(longestAnswer),
      }),
      ...stopFlags,
    },
    Machine: adapterMachineFlags(['device', 'precision', 'threads']),
  },
  examples: [
    { command: 'salora chat --model models/smollm2 --precision int8', result: 'Answers each line that you type.' },
    {
      command: "cat questions.txt | salora chat --run runs/answers --system 'Answer in one sentence.' --json > conversation.json",
      result: 'Writes {"messages"}: the questions, one per line, and their answers.',
    },
  ],
  run: async ({ system, stop, ...flags }, terminal) => {
    if (system?.trim() === '') throw usageError('--system', 'a text', 'an empty one')
    const settings = { maxNewTokens: longestAnswer, ...generationRequest(flags), stop }
    const { adapter } = await adapterRequest(flags)
    const generator = await openGenerator({ ...adapter, keepsCache: true })
    try {
      const conversation = openConversation(generator, settings, system)
      const code = await converse(conversation, terminal)
      if (terminal.json) terminal.result('', { messages: conversation.messages() })
      return code
    } finally {
      await generator.release()
    }
  },
})

/** Answers line by line. @returns the exit code */
const converse = async (conversation: Conversation, terminal: Terminal): Promise<number> => {
  const typed = process.stdin.isTTY === true && process.stderr.isTTY === true
  const editor = typed ? createInterface({ input: process.stdin, output: process.stderr, prompt: '> ' }) : null
  let answering = false
  // On a terminal, readline reads Ctrl-C as a key. The handlers are called here, because on Windows process.kill would end the process.
  editor?.on('SIGINT', () => (answering ? process.emit('SIGINT', 'SIGINT') : editor.close()))
  if (typed) terminal.note('type a message and Enter; /help shows the commands, Ctrl-D ends')
  editor?.prompt()
  for await (const line of editor ?? pipedLines()) {
    const given = chatLine(line)
    if (given.kind === 'exit') break
    if (given.kind === 'message') {
      answering = true
      const code = await answer(conversation, given.text, typed, terminal)
      answering = false
      if (code !== null && !(typed && code === exitCodes.interrupted)) return code
    } else if (given.kind === 'reset') conversation.restart()
    else if (given.kind === 'system') conversation.restart(given.text)
    else if (given.kind === 'help') for (const [command, does] of Object.entries(chatCommands)) terminal.note(`${command}: ${does}`)
    else if (given.kind === 'unknown')
      terminal.warn(`expected ${Object.keys(chatCommands).join(', ')} or a message, got ${quoted(given.command)}`)
    editor?.prompt()
  }
  return exitCodes.success
}

/** The lines of a pipe or a file. @throws InputError for one that is not UTF-8 */
async function* pipedLines(): AsyncGenerator<string> {
  for await (const lines of textLines(standardInput(), unchanged)) for (const line of lines) yield lineText('standard input', line)
}

/** @param typed whether a person can mend a message that does not fit @returns the exit code of a signal; null without one */
const answer = async (conversation: Conversation, text: string, typed: boolean, terminal: Terminal): Promise<number | null> => {
  const interrupt = watchInterrupt(
    () => undefined,
    () => undefined,
  )
  const write = (piece: string): void => void (terminal.json || process.stdout.write(printable(piece)))
  try {
    for await (const event of conversation.say(text, interrupt.signal)) {
      if (event.kind === 'piece') write(event.text)
      else if (event.ended === 'length') terminal.note(' … (the answer reached --max-new-tokens or the end of the context)')
    }
    write('\n')
  } catch (thrown) {
    if (!typed || !(thrown instanceof InputError)) throw thrown
    terminal.warn(lineInFlags(thrown))
  } finally {
    interrupt.release()
  }
  return interrupt.exitCode()
}

/** A line of a conversation: a message, or a command that begins with a slash. */

const chatCommands = {
  '/reset': 'forget the conversation, except the system message',
  '/system TEXT': 'forget all of it, and begin with this system message',
  '/help': 'show these commands',
  '/exit': 'end (as Ctrl-D does)',
} as const

type ChatLine =
  | { readonly kind: 'message' | 'system'; readonly text: string }
  | { readonly kind: 'nothing' | 'reset' | 'help' | 'exit' }
  | { readonly kind: 'unknown'; readonly command: string }

/** A blank before the slash makes the line a message. */
export const chatLine = (line: string): ChatLine => {
  const text = line.trim()
  if (text === '') return { kind: 'nothing' }
  if (!line.startsWith('/')) return { kind: 'message', text }
  const [command = ''] = text.split(/\s/, 1)
  const rest = text.slice(command.length).trim()
  if (command === '/system' && rest !== '') return { kind: 'system', text: rest }
  if (rest === '' && (command === '/reset' || command === '/help' || command === '/exit'))
    return { kind: command.slice(1) as 'reset' | 'help' | 'exit' }
  return { kind: 'unknown', command: text }
}
