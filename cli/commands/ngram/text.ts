/** What both commands of n-gram models share: the text that they read, and a bar for each phase. */
import { fileSource, type TextSource } from '../../../evaluation/ngram/textLines.js'
import { textFlag } from '../../../finetuning/commandLine/flag.js'
import { standardInput } from '../../input/promptInput.js'
import type { Terminal } from '../../terminal/output.js'
import { countProgress } from '../../terminal/progress.js'

export const textFlags = { text: textFlag('file', 'Text, plain or gzip, one sentence per line', { defaultText: 'standard input' }) }

/** @param onRead fractions of the file, if there is one */
export const openSource = async (file: string | null, { note }: Terminal, onRead: (fraction: number) => void): Promise<TextSource> => {
  if (file !== null) {
    const source: TextSource = await fileSource(file, (bytes) => onRead(bytes / (source.bytes || 1)))
    return source
  }
  const chunks = standardInput()
  if (chunks.isTTY === true) note('type a sentence and Enter; Ctrl-D ends')
  return { name: 'standard input', bytes: null, chunks }
}

/** A bar for each phase, one after another. */
export const phaseProgress = (terminal: Terminal) => {
  let open: { readonly name: string; readonly bar: ReturnType<typeof countProgress> } | null = null
  let percent = -1
  const close = (): void => {
    open?.bar.close()
    open = null
  }
  return {
    close,
    show: (name: string, fraction: number): void => {
      if (open?.name !== name) {
        close()
        open = { name, bar: countProgress(`${name} (%)`, 100, terminal) }
        percent = 0
      }
      const now = Math.min(100, Math.floor(100 * fraction))
      if (now === percent) return
      percent = now
      open.bar.show(now)
    },
  }
}
