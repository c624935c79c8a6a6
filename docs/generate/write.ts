/** npm run docs:reference: writes the pages that follow from the code. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { kernelsPage } from './kernels.js'
import { commandPages, otherNamesTables, settingsPage, withRegion } from './pages.js'

const guide = 'docs/how-to/from-peft.md'

for (const { file, text } of [...(await commandPages()), await settingsPage(), kernelsPage()]) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}
writeFileSync(guide, withRegion(readFileSync(guide, 'utf8'), 'names', otherNamesTables()))
