/**
 * Writes the tables and charts of docs/results/ from evaluation/results/*.json: `npm run results`.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { renderPages, resultsFolder } from './renderPages.js'

scriptValues({
  name: 'node dist/reporting/results/writePages.js',
  description: 'Write the tables and charts of docs/results/ from evaluation/results/*.json. Words outside of the generated regions stay.',
  flags: {},
  examples: [{ command: 'npm run results', result: 'Updates docs/results/*.md and docs/results/charts/*.svg.' }],
})

const root = process.cwd()
const files = await renderPages(root)
const charts = join(root, resultsFolder, 'charts')
await makeFolder(charts)
for (const [file, text] of files) await writeFileAtomically(join(root, file), text)
for (const name of await readdir(charts)) if (!files.has(`${resultsFolder}/charts/${name}`)) await rm(join(charts, name))
console.log(`${files.size} files`)
