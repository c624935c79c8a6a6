/** A temporary folder of a test file, removed after its last test, and files in it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

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
