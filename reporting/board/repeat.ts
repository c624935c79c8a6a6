/** Work that repeats while it is needed. */

export type RepeatedWork = {
  /** milliseconds from the end of one execution to the start of the next, at least */
  readonly interval: number
  /** slow work rests for this multiple of its own time */
  readonly restFactor: number
  readonly isNeeded: () => boolean
  readonly onError: (thrown: unknown) => void
  readonly run: () => Promise<void>
}

/** @returns functions that start the work if it is not running, and that stop it for good */
export const repeat = ({ interval, restFactor, isNeeded, onError, run }: RepeatedWork) => {
  let timer: NodeJS.Timeout | null = null
  let isStopped = false
  const schedule = (delay: number): void => {
    timer = setTimeout(() => void turn(), delay)
  }
  const turn = async (): Promise<void> => {
    const started = performance.now()
    await run().catch(onError)
    if (isStopped) return
    if (isNeeded()) schedule(Math.max(interval, restFactor * (performance.now() - started)))
    else timer = null
  }
  return {
    start: (): void => {
      if (timer === null && !isStopped) schedule(0)
    },
    stop: (): void => {
      isStopped = true
      if (timer !== null) clearTimeout(timer)
    },
  }
}
