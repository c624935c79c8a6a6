/** The pages that follow from the code are up to date: `npm run docs:reference` writes them. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { kernelsPage } from '../../docs/generate/kernels.js'
import { commandPages, otherNamesTables, settingsPage, withRegion } from '../../docs/generate/pages.js'

const pages = [...(await commandPages()), await settingsPage(), kernelsPage()]

describe('the generated pages of the documentation', () => {
  it.each(pages)('are up to date: $file', ({ file, text }) => expect(readFileSync(file, 'utf8')).toBe(text))

  it('are those of the commands that exist, and no others', () =>
    expect(
      readdirSync('docs/reference/commands')
        .map((name) => `docs/reference/commands/${name}`)
        .sort(),
    ).toEqual(
      pages
        .map(({ file }) => file)
        .filter((file) => file.startsWith('docs/reference/commands/'))
        .sort(),
    ))

  it('have the names that other tools give to our settings', () => {
    const guide = readFileSync('docs/how-to/from-peft.md', 'utf8')
    expect(guide).toBe(withRegion(guide, 'names', otherNamesTables()))
    expect(guide).toContain('| `num_train_epochs` | `--epochs` |')
  })
})
