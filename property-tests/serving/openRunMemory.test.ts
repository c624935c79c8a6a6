/** The memory of a program that holds one run open over thousands of predictions, with texts of several lengths. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { trainToyRun } from './trainedToyRun.js'

const { folder } = temporaryFolder('open-run-memory')

beforeAll(() => trainToyRun(folder))

/** Prints, for each length of texts, the megabytes after 500 predictions and after 5,000. */
const program = `
import { openRun } from ${JSON.stringify(pathToFileURL(resolve('dist/index.js')).href)}
const run = await openRun('run')
let next = 0
const predictions = async (count, length) => {
  const end = next + count
  const caller = async () => { while (next < end) await run.predict(\`good \${next++} \`.padEnd(length, 'fine and dull ')) }
  await Promise.all(Array.from({ length: 16 }, caller))
}
const megabytes = () => process.memoryUsage.rss() / 2 ** 20
const grown = []
for (const length of [20, 400, 10_000]) {
  await predictions(500, length)
  const before = megabytes()
  await predictions(4_500, length)
  grown.push(megabytes() - before)
}
await run.release()
console.log(JSON.stringify(grown))
`

it('openRun keeps its memory over 5,000 predictions of short, ordinary and long texts', async () => {
  await writeFile(join(folder, 'program.mjs'), program)
  // V8 lets a large heap grow for tens of thousands of calls before it collects: a small one shows what is really kept
  const smallHeap = ['--max-old-space-size=96', '--max-semi-space-size=2']
  const { stdout } = await promisify(execFile)(process.execPath, [...smallHeap, 'program.mjs'], { cwd: folder })
  for (const grown of JSON.parse(stdout) as ReadonlyArray<number>) expect(grown).toBeLessThan(20)
}, 240_000)
