/** The memory that this process may use. */
import { totalmem } from 'node:os'

/** In bytes: of the machine, or what a container leaves of it. */
export const memoryLimit = (): number => Math.min(totalmem(), process.constrainedMemory() || Infinity)
