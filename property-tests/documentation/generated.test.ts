/** The pages that follow from the code are up to date: `npm run docs:reference` writes them. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { commandGroups } from '../../cli/commandGroups.js'
import { toFlag } from '../../finetuning/commandLine/optionNames.js'
import { kernelsPage } from '../../docs/generate/kernels.js'
import { commandsPage, otherNamesTables, settingsPage, withRegion } from '../../docs/generate/pages.js'

const pages = [await commandsPage(), await settingsPage(), kernelsPage()]

describe('the generated pages of the documentation', () => {
  it.each(pages)('are up to date: $file', ({ file, text }) => expect(readFileSync(file, 'utf8')).toBe(text))

  it('have a section for each command with every option that --help-all prints, there or as a setting', async () => {
    const page = readFileSync('docs/reference/commands.md', 'utf8')
    const sections = new Map(page.split(/^### /m).map((section) => [section.split('\n')[0], section]))
    const general = page.split('\n## ')[0] ?? ''
    for (const { name, load } of commandGroups.flatMap(({ commands }) => commands)) {
      if (name === 'train') continue
      const options = Object.values((await load()).definition.flags).flatMap((table) =>
        Object.entries(table).filter(([, flag]) => !flag.hidden),
      )
      const text = `${sections.get(name)}${general}`
      const absent = options.filter(([option]) => !new RegExp(`\`(-q, )?${toFlag(option)}[ \`]`).test(text)).map(([option]) => option)
      expect([name, sections.has(name), absent]).toEqual([name, true, []])
    }
  })

  it('have the names that other tools give to our settings', () => {
    const guide = readFileSync('docs/how-to/from-peft.md', 'utf8')
    expect(guide).toBe(withRegion(guide, 'names', otherNamesTables()))
    expect(guide).toContain('| `num_train_epochs` | `--epochs` |')
  })
})
