/** Renames a file or a folder. On Windows it waits for other programs: there, nobody can rename a file that a virus scanner or a reader has open. */
import { rename } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { systemCode } from '../errors/systemError.js'

/** What Windows reports while another program has one of both files open. */
const busy: ReadonlyArray<string | null> = ['EPERM', 'EACCES', 'EBUSY']

/** Milliseconds before each further attempt, two seconds in all. A rename that is not permitted fails with the same codes. */
const pauses: ReadonlyArray<number> = [10, 20, 50, 100, 200, 500, 1_100]

type System = {
  readonly rename: (from: string, to: string) => Promise<void>
  readonly platform: NodeJS.Platform
  readonly pauses: ReadonlyArray<number>
}

/** @throws the system's error */
export const renameFile = async (
  from: string,
  to: string,
  system: System = { rename, platform: process.platform, pauses },
): Promise<void> => {
  for (const milliseconds of system.platform === 'win32' ? system.pauses : [])
    try {
      return await system.rename(from, to)
    } catch (thrown) {
      if (!busy.includes(systemCode(thrown))) throw thrown
      await pause(milliseconds)
    }
  return system.rename(from, to)
}
