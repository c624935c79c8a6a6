/** The type of a run's settings has a member for each setting, with the help text as its doc comment. */
import { readFile, writeFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { methods } from '../../../accelerated/methods/index.js'
import { shift } from '../../cli/extensionPoints/shift.js'
import { settingsInputSource } from '../../support/settingsInputSource.js'

const file = 'accelerated/settings/settingsInput.ts'

it(`${file} is up to date (UPDATE_SETTINGS_INPUT=1 rewrites it)`, async () => {
  const source = settingsInputSource()
  if (process.env['UPDATE_SETTINGS_INPUT'] === '1') await writeFile(file, source)
  expect(await readFile(file, 'utf8')).toBe(source)
})

it('a new method adds its name and its settings to the type', () => {
  const source = settingsInputSource([...methods, shift])
  expect(source).toContain(" | 'full' | 'shift'\n")
  expect(source).toContain('  // Shift options\n\n  /** Factor of every shift. Default: 2 */\n  readonly shiftScale?: number\n')
})
