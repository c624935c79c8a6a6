/** A temporary folder of a test file, removed after its last test, and files in it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, vi } from 'vitest'

export type TemporaryFolder = {
  readonly folder: string
  /** → the file's path */
  readonly write: (name: string, content: string | Uint8Array) => string
}

export const temporaryFolder = (name: string): TemporaryFolder => {
  const folder = mkdtempSync(join(tmpdir(), `salora-${name}-`))
  afterAll(() => rmSync(folder, { recursive: true }))
  return {
    folder,
    write: (file, content) => {
      const path = join(folder, file)
      writeFileSync(path, content)
      return path
    },
  }
}

/** The same, with salora's cache in it. */
export const temporaryCache = (name: string): TemporaryFolder => {
  const made = temporaryFolder(name)
  beforeAll(() => void vi.stubEnv('SALORA_CACHE', join(made.folder, 'cache')))
  afterAll(() => void vi.unstubAllEnvs())
  return made
}
