/** A queue between what pushes values as they come and what pulls them one by one, such as a thread's messages and a generator. */

export type AsyncQueue<T> = AsyncIterable<T> & {
  readonly push: (value: T) => void
  /** Ends the iteration after the values that wait. */
  readonly close: () => void
}

export const asyncQueue = <T extends {}>(): AsyncQueue<T> => {
  const values: T[] = []
  let [wake, isClosed] = [(): void => undefined, false]
  return {
    push: (value) => {
      values.push(value)
      wake()
    },
    close: () => {
      isClosed = true
      wake()
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const value = values.shift()
        if (value !== undefined) yield value
        else if (isClosed) return
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    },
  }
}
