/** Standard input that is a folder, which Node reads as an empty text. */
import { closeSync, openSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, it, vi } from 'vitest'
import { standardInput } from '../../cli/input/promptInput.js'

it('refuses a folder in one line, and takes what is none', () => {
  const folder = openSync(tmpdir(), 'r')
  const stdin = vi.spyOn(process, 'stdin', 'get')
  try {
    stdin.mockReturnValue({ fd: folder } as typeof process.stdin)
    expect(standardInput).toThrow('standard input: expected a text (from a pipe, or < FILE), got a folder')
    stdin.mockReturnValue({} as typeof process.stdin)
    expect(standardInput).not.toThrow()
  } finally {
    stdin.mockRestore()
    closeSync(folder)
  }
})
