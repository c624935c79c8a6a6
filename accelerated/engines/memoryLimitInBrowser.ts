/** In place of memoryLimit.ts in a browser: WebAssembly counts its memory in 32 bits. */

/** In bytes. */
export const memoryLimit = (): number => 2 ** 32

/** Unknown: a page cannot ask how much memory WebAssembly took. */
export const peakMemory = (): number => 0
