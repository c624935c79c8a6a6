/** A line of a conversation: a message, or a command that begins with a slash. */

export const chatCommands = {
  '/reset': 'forget the conversation, except the system message',
  '/system TEXT': 'forget all of it, and begin with this system message',
  '/help': 'show these commands',
  '/exit': 'end (as Ctrl-D does)',
} as const

export type ChatLine =
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
