/** Ends a worker thread from inside, once its work is done. */
import { parentPort } from 'node:worker_threads'

/** Deno's port has no `close`, but its threads have one. */
export const endThread = (): void => {
  const port = parentPort as { readonly close?: () => void } | null
  if (typeof port?.close === 'function') port.close()
  else (globalThis as { readonly close?: () => void }).close?.()
}
