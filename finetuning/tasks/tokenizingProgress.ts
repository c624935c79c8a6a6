/** Reports how many examples are tokenized: tokenizing takes one turn of its thread, so its events cannot wait for another. */

/** Milliseconds before the first line, and between two lines. */
const [firstLine, interval] = [2_000, 10_000]

export type TokenizingProgress = { readonly done: number; readonly examples: number }

/** Lines such as `tokenizing, 12,000 of 52,002 examples`. */
export const tokenizingReporter = (
  onLine: (line: string) => void,
  now: () => number = () => performance.now(),
): ((at: TokenizingProgress) => void) => {
  let due = NaN // no example so far
  return ({ done, examples }) => {
    const time = now()
    if (done <= 1 || Number.isNaN(due)) due = time + firstLine
    if (time < due || done >= examples) return
    due = time + interval
    onLine(`tokenizing, ${done.toLocaleString('en-US')} of ${examples.toLocaleString('en-US')} examples`)
  }
}

let listener: (at: TokenizingProgress) => void = () => undefined

/** Sets the listener of this thread. */
export const onTokenizingProgress = (onLine: (line: string) => void): void => {
  listener = tokenizingReporter(onLine)
}

export const reportTokenizing = (at: TokenizingProgress): void => listener(at)
