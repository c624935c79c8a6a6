/** Calls of a session until it is released: the release waits for those that run, and later ones are refused. */
import { inputError } from '../../accelerated/errors/inputError.js'

export type UntilRelease = {
  /** @throws InputError after release */
  readonly call: <T>(work: () => Promise<T>) => Promise<T>
  /** It may be called again. */
  readonly release: () => Promise<void>
}

/** @param where names the session in messages */
export const untilRelease = (where: string, release: () => Promise<void>): UntilRelease => {
  const running = new Set<Promise<unknown>>()
  let releasing: Promise<void> | null = null
  return {
    call: async (work) => {
      if (releasing !== null) throw inputError(where, 'calls before release', 'one after it')
      const answer = work()
      running.add(answer)
      return answer.finally(() => running.delete(answer))
    },
    release: () => (releasing ??= Promise.allSettled(running).then(release)),
  }
}
