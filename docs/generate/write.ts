/** npm run docs:reference: writes the pages that follow from the code. */
import { readFileSync, writeFileSync } from 'node:fs'
import { kernelsPage } from './kernels.js'
import { commandsPage, otherNamesTables, settingsPage, withRegion } from './pages.js'

const guide = 'docs/how-to/from-peft.md'

for (const { file, text } of [await commandsPage(), await settingsPage(), kernelsPage()]) writeFileSync(file, text)
writeFileSync(guide, withRegion(readFileSync(guide, 'utf8'), 'names', otherNamesTables()))
