/** The memory limit of this process. */
import { totalmem } from 'node:os'

/** In bytes: the machine's memory, or the container's limit. */
export const memoryLimit = (): number => Math.min(totalmem(), process.constrainedMemory() || Infinity)
