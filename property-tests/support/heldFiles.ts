/** Files that this process has open or mapped into memory (on Linux). Windows renames no folder in which there is one. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

export const canSeeHeldFiles = existsSync('/proc/self/maps')

/** Their paths, of those whose path contains `part`. */
export const heldFiles = (part: string): readonly string[] => {
  const mapped = readFileSync('/proc/self/maps', 'utf8').split('\n')
  const opened = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(join('/proc/self/fd', name))
    } catch {
      return '' // the descriptor of this listing
    }
  })
  return [...mapped, ...opened].filter((line) => line.includes(part))
}
