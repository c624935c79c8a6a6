/** The memory limit of this process, and the most memory that it has used. */
import { totalmem } from 'node:os'

/** In bytes: the machine's memory, or the container's limit. */
export const memoryLimit = (): number => Math.min(totalmem(), process.constrainedMemory() || Infinity)

/** In bytes, of the whole process so far. */
export const peakMemory = (): number => process.resourceUsage().maxRSS * 1024
