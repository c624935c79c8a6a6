/** npm run growth: processor time against size, doubled five times. An exponent of 1 is linear, and one above 1.1 needs a reason. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listFlag, numberFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { areas } from './areas/index.js'
import { headerLine, lineOf, measured, type Growth } from './measured.js'

const { flags } = scriptValues({
  name: 'node dist/property-tests/growth/growth.js',
  description:
    'Measure processor time against size, doubled five times, and print the exponent of each. Fails if an exponent is above its bound.',
  flags: {
    Options: {
      only: listFlag('texts', 'Measure only what has one of these texts in its line'),
      seconds: numberFlag('n', 'Longest time of one size; larger sizes are left out after it', { above: 0, default: 30 }),
    },
  },
  examples: [{ command: 'npm run growth -- --only conversation', result: 'Prints the exponents of conversations by their turns.' }],
})

const growths: Growth[] = []
console.log(headerLine)
const { only } = flags
for (const grown of areas.filter(({ what, of }) => only === null || only.some((part) => `${what}, ${of}`.includes(part)))) {
  const folder = await mkdtemp(join(tmpdir(), 'salora-growth-'))
  try {
    const growth = await measured(grown, folder, flags.seconds)
    growths.push(growth)
    console.log(lineOf(growth))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
process.exit(growths.every(({ ok }) => ok) ? 0 : 1)
