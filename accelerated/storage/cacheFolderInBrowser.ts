/** In place of cacheFolder.ts in a browser: a folder of the caller's storage. */

export const cacheOf = (): string => 'salora-cache'
